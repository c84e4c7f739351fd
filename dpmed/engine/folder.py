"""A run folder's life: begun once, locked while it works, resumed only if it is the same run."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from dpmed import __version__
from dpmed.core.errors import ConfigError, MismatchError
from dpmed.core.files import sha256_of, write_atomic
from dpmed.core.folders import RunFolder
from dpmed.core.manifest import Manifest
from dpmed.core.runconfig import RunConfig
from dpmed.core.seen import Seen
from dpmed.engine.prepare import Prepared
from dpmed.engine.request import TrainRequest

SPEED_ONLY = {"run", "dpmed_version", "device", "engine"}
"""What a resumed run may do differently, beside the recipe's `hardware` table."""


@contextmanager
def locked(run: RunFolder) -> Iterator[None]:
    """Hold a run folder for this process alone."""
    run.curator.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(run.curator / "lock", timeout=0):
            yield
    except Timeout:
        raise ConfigError(
            "another process is training in this run folder", hint="wait for it, or use another --run"
        ) from None


def begin(request: TrainRequest, prepared: Prepared) -> RunConfig:
    """Write a new run's configuration, or check that a resumed one is the same; raises `MismatchError` if not.

    A folder in which no step was paid for (a run refused for its budget, say) may be begun again.
    """
    wanted = _config(request, prepared)
    run = request.run
    is_paid = run.ledger.exists()
    if is_paid and not run.config.exists():
        raise MismatchError("the run has a ledger but no configuration", hint="restore release/config.json")
    if not run.config.exists() or not (is_paid or request.resume):
        write_atomic(run.manifest, prepared.manifest.to_json())
        write_atomic(run.config, wanted.to_json())
        return wanted
    if not request.resume:
        raise ConfigError("the run folder already holds a run", hint="add --resume to go on, or name another --run")
    found = RunConfig.load(run)
    differing = _differences(found, wanted)
    if differing:
        raise MismatchError(
            f"the run was started with another {', '.join(differing)}", hint="resume with the same recipe and options"
        )
    if not run.manifest.exists() or Manifest.from_json(run.manifest.read_text()) != prepared.manifest:
        raise MismatchError(
            "the dataset has changed since the run was started", hint="start a new run in another --run"
        )
    return found


def _config(request: TrainRequest, prepared: Prepared) -> RunConfig:
    return RunConfig(
        run=uuid.uuid4().hex,
        dpmed_version=__version__,
        recipe=prepared.recipe,
        model=prepared.model.plain,
        task=prepared.task,
        label_scheme=prepared.manifest.label_scheme,
        privacy=prepared.plan.spec if request.private else None,
        patients=len(prepared.plan.patients),
        seed=request.seed,
        demo_seed=request.demo_seed,
        init_sha256=sha256_of(prepared.start) if prepared.start else None,
        init_seen=seen.words if (seen := Seen.beside(prepared.start)) is not None else None,
        device=prepared.device,
        engine=prepared.recipe.hardware.engine,
    )


def _differences(found: RunConfig, wanted: RunConfig) -> list[str]:
    left, right = (config.model_dump(exclude=SPEED_ONLY | {"recipe"}) for config in (found, wanted))
    differing = [key for key in left if left[key] != right[key]]
    recipes = (config.recipe.model_dump(exclude={"hardware"}) for config in (found, wanted))
    return differing if next(recipes) == next(recipes) else [*differing, "recipe"]
