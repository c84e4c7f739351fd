"""One training of a study, from a fold's patients to a file."""

import platform
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from dpmed import __version__
from dpmed.core.files import write_atomic
from dpmed.core.folders import RunFolder
from dpmed.core.machine import machine
from dpmed.engine import TrainDone, TrainRequest, train
from dpmed.privacy.ledger import Ledger
from dpmed.privacy.mechanisms import mechanism_runs
from dpmed.study.cells import Asked, Cell, StudyFolder
from dpmed.study.folds import write_fold
from dpmed.study.judge import judged, metric


@dataclass(frozen=True)
class Task:
    """A cell to be trained, and where; `out` is the study's folder."""

    asked: Asked
    held_out: frozenset[str]
    data: Path
    out: Path
    seed: int
    init: Path | None
    keep: bool


def work(task: Task) -> Cell:
    """Train, judge, write the cell. What the trained model is made of is removed, unless it is to be kept."""
    began, began_cpu = time.monotonic(), time.process_time()
    folder = StudyFolder(task.out)
    folder.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.scratch) as scratch:
        data = Path(scratch) / "data"
        run = RunFolder(folder.run(task.asked.key) if task.keep else Path(scratch) / "run")
        shutil.rmtree(run.root, ignore_errors=True)
        write_fold(data, task.data, task.held_out)
        done = _trained(task, data, run)
        scores = judged(run, data, task.asked.recipe.hardware.device)
        cell = Cell(
            asked=task.asked,
            dpmed_version=__version__,
            metric=metric(task.asked.recipe.task, scores),
            scores=scores,
            patients=done.patients,
            epsilon=done.statement.epsilon,
            noise_multiplier=done.statement.noise_multiplier,
            spent=() if task.asked.key.epsilon is None else mechanism_runs(Ledger(run.ledger).entries),
            steps=done.steps,
            seconds=done.seconds,
            cell_seconds=time.monotonic() - began,
            cpu_seconds=time.process_time() - began_cpu,
            device=done.device,
            engine=done.engine,
            machine=machine_words(done.device),
        )
    write_atomic(folder.cell(task.asked.key), cell.to_json())
    return cell


def machine_words(device: str) -> str:
    """What a cell was trained on, for a reader."""
    if device == "cuda":
        return f"{torch.cuda.get_device_name(0)}"
    cores = machine(Path.cwd()).cores
    return f"{_processor()}, {cores} core{'s' if cores > 1 else ''}"


def _processor() -> str:
    """The processor's name, where the system tells; else its kind."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _trained(task: Task, data: Path, run: RunFolder) -> TrainDone:
    request = TrainRequest(
        recipe=task.asked.recipe,
        data=data,
        run=run,
        seed=task.seed,
        private=task.asked.key.epsilon is not None,
        init=task.init,
    )
    *_, done = train(request)
    assert isinstance(done, TrainDone), "a training ends with TrainDone"
    return done
