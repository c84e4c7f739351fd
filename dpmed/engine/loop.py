"""The training loop, as the paper has it: draw, clipped sum, spend, noise, apply."""

import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpmed.backends import Backend
from dpmed.core.events import StepDone
from dpmed.core.specs import HardwareFlags
from dpmed.data import PatientDataset
from dpmed.data.tensors import PatientTensors
from dpmed.engine.checkpoint import Checkpoint, save_checkpoint
from dpmed.engine.curves import Curves, curves
from dpmed.engine.feed import Feed
from dpmed.engine.optimizer import Optimizer
from dpmed.engine.plan import Plan
from dpmed.privacy.gradients import CuratorNotes
from dpmed.privacy.ledger import Ledger


@dataclass(frozen=True)
class Loop:
    """All that a step touches."""

    plan: Plan
    data: PatientDataset
    backend: Backend
    optimizer: Optimizer
    ledger: Ledger
    flags: HardwareFlags
    state: Path
    metrics: Path
    tensorboard: Path | None
    spent: Callable[[int], float | None]

    def run(self, should_stop: Callable[[], bool]) -> Iterator[StepDone]:
        """Train until the plan's last step is paid, or until asked to stop; the checkpoint is then up to date.

        The position is the number of ledger lines. Steps that a crash paid for but lost are not taken again: the run
        ends with fewer updates, never with more epsilon than planned.
        """
        first, steps = len(self.ledger.entries), self.plan.spec.steps
        saved = time.monotonic()
        with (
            self._feed(range(first, steps)) as feed,
            ThreadPoolExecutor(1) as beside,
            curves(self.tensorboard, first=first) as drawn,
        ):
            for step in range(first, steps):
                began, waited = time.monotonic(), feed.waited
                notes = self._take(step, feed, beside)
                now = time.monotonic()
                self._write_metrics(step, notes, seconds=now - began, waited=feed.waited - waited, drawn=drawn)
                yield self._event(step + 1, now - began)
                if step + 1 == steps or should_stop():
                    break
                if now - saved >= self.flags.checkpoint_seconds:
                    self._save()
                    saved = time.monotonic()
            self._save()

    def _take(self, step: int, feed: Feed, beside: Executor) -> CuratorNotes:
        count = sum(weight.numel() for weight in self.optimizer.trained.values())
        noise = beside.submit(self.plan.noise, step, count)  # while the machine computes
        self.backend.load(self.optimizer.weights)
        clipped = self.backend.clipped_sum(feed.step(step))
        self.ledger.append(self.plan.entry(step))  # spend first: a crash over-counts, never under-counts
        self.optimizer.apply(self.plan.add_noise(clipped, noise.result()), step=step, steps=self.plan.spec.steps)
        return clipped.notes

    def _event(self, done: int, seconds: float) -> StepDone:
        spec = self.plan.spec
        return StepDone(
            step=done,
            steps=spec.steps,
            epsilon=self.spent(done),
            budget=self.spent(spec.steps),
            seconds=seconds,
            patients_per_second=spec.expected_batch_size / seconds,
        )

    def _feed(self, steps: range) -> Feed:
        def fetch(patient: str, step: int) -> PatientTensors:
            return self.data.fetch(patient, step=step)

        flags = self.flags
        return Feed(self.plan.sample, fetch, steps=steps, workers=flags.workers, ahead=2 * flags.nano_batch)

    def _save(self) -> None:
        save_checkpoint(self.state, Checkpoint(self.optimizer.state(), self.ledger.head))

    def _write_metrics(self, step: int, notes: CuratorNotes, *, seconds: float, waited: float, drawn: Curves) -> None:
        mean_loss = notes.loss_sum / notes.patients if notes.patients and math.isfinite(notes.loss_sum) else None
        line: dict[str, Any] = {
            "step": step,
            "patients": notes.patients,
            "clipped": notes.clipped,
            "loss": mean_loss,
            "seconds": seconds,
            "waited_for_data": waited,
            "engine": self.backend.engine,
        }
        with self.metrics.open("a") as file:
            file.write(json.dumps(line) + "\n")
        names = ("loss", "patients", "clipped", "seconds", "waited_for_data")
        more = {"epsilon": self.spent(step + 1), "learning_rate": self.optimizer.learning_rate}
        drawn.add(step, {name: line[name] for name in names} | more)
