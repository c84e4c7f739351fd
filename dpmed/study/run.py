"""`dpmed study run`: check, divide, train what is missing side by side, add up."""

import shutil
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from dpmed.core.errors import ConfigError, InterruptedRun
from dpmed.core.events import Note, Progress
from dpmed.core.files import sha256_of, write_atomic
from dpmed.core.folders import DatasetFolder
from dpmed.core.machine import machine
from dpmed.core.manifest import Manifest
from dpmed.privacy.budget import Budget
from dpmed.privacy.mechanisms import MechanismRun, run_of
from dpmed.privacy.spec import privacy_spec
from dpmed.study.cells import Asked, Cell, StudyFolder
from dpmed.study.charts import write_charts
from dpmed.study.crew import Failed, trained
from dpmed.study.folds import Folds, digest, divide
from dpmed.study.plan import CellKey, Study, check_only
from dpmed.study.result import FailedCell, StudyResult
from dpmed.study.summary import composed_cost, summarised
from dpmed.study.work import Task

StudyEvent = Note | Progress | StudyResult
AS_PRIVATE = "tune on public data and declare it with public = ..., or train run by run against the budget: dpmed train"


@dataclass(frozen=True)
class StudyRequest:
    """A study, the dataset, and where results go. `workers` None is one for each core; `only` names variants."""

    study: Study
    data: Path
    out: Path
    workers: int | None = None
    only: tuple[str, ...] = ()
    keep: bool = False


@dataclass(frozen=True)
class Planned:
    """Every cell of the study, those that are there, and those to be trained now."""

    asked: tuple[Asked, ...]
    found: tuple[Cell, ...]
    tasks: tuple[Task, ...]


def plan(request: StudyRequest) -> Planned:
    """Everything that can be wrong before the first training is found here.

    Raises `ConfigError` for a study on data that are not declared public.
    """
    study, folder = request.study, StudyFolder(request.out)
    check_only(study, request.only)
    manifest = Manifest.load(request.data)
    folds = divide(manifest, folds=study.told.folds, seed=study.told.fold_seed)
    _check_task(study, manifest)
    _check_public(study, request.data, folds)
    asked = _asked(study, manifest, folds)
    found = {one.key: cell for one in asked if (cell := folder.found(one)) is not None}
    wanted = set(study.cells(request.only))
    tasks = [
        Task(
            asked=one,
            held_out=folds[one.key.fold],
            data=request.data,
            out=request.out,
            seed=study.train_seed(one.key),
            init=study.init(one.key.variant),
            keep=request.keep,
        )
        for one in asked
        if one.key in wanted and one.key not in found
    ]
    return Planned(asked, tuple(found.values()), tuple(tasks))


def run_study(request: StudyRequest) -> Iterator[StudyEvent]:
    """Train every cell that is not there yet; the events end with `StudyResult`, which is in `study.json` too.

    A cell that fails is told and the others go on. Stopped by Ctrl-C it adds up what is there, then raises
    `InterruptedRun`.
    """
    planned = plan(request)
    folder, workers = StudyFolder(request.out), request.workers or machine(Path.cwd()).cores
    cells, failed, is_stopped = list(planned.found), [], False
    with _alone(folder):
        total = len(planned.tasks)
        yield Note(f"{len(cells)} of {len(planned.asked)} trainings are there, {total} to do, {workers} at a time")
        yield Progress("trainings", 0, total)
        try:
            for done, outcome in enumerate(trained(planned.tasks, workers=workers), start=1):
                if isinstance(outcome, Failed):
                    failed.append(FailedCell(key=outcome.task.asked.key, reason=outcome.reason))
                    yield Note(f"{done} of {total}: {outcome.task.asked.key}: failed: {outcome.reason}")
                else:
                    cells.append(outcome)
                    yield Note(f"{done} of {total}: {_told(outcome)}; {_left(cells, total - done, workers)}")
                yield Progress("trainings", done, total)
        except KeyboardInterrupt:
            is_stopped = True
        result = summarised(request.study, cells, failed)
        write_atomic(folder.result, result.to_json())
        write_charts(result, folder.root)
    if is_stopped:
        raise InterruptedRun(f"stopped; {len(cells)} trainings are kept", hint="the same command goes on")
    yield result


def _told(cell: Cell) -> str:
    return f"{cell.asked.key}: {cell.metric:.3f} in {cell.cell_seconds:.0f} s"


def _left(cells: Sequence[Cell], count: int, workers: int) -> str:
    minutes = statistics.median(cell.cell_seconds for cell in cells) * count / workers / 60
    return f"about {minutes:.0f} min left"


def _asked(study: Study, manifest: Manifest, folds: Folds) -> tuple[Asked, ...]:
    data = [digest(manifest, held_out) for held_out in folds]
    inits = {name: study.init(name) for name in study.told.variants}
    digests = {name: None if path is None else sha256_of(path) for name, path in inits.items()}
    keys = study.cells()
    recipes = {pair: study.recipe(*pair) for pair in {(key.variant, key.epsilon) for key in keys}}
    return tuple(
        Asked(
            key=key,
            recipe=recipes[key.variant, key.epsilon],
            init_sha256=digests[key.variant],
            data_sha256=data[key.fold],
        )
        for key in keys
    )


def _check_task(study: Study, manifest: Manifest) -> None:
    if study.task != manifest.task:
        raise ConfigError(
            f"the recipe is for task {study.task}, the dataset is for {manifest.task}", hint="name another dataset"
        )


def _check_public(study: Study, data: Path, folds: Folds) -> None:
    """A search on private patients costs them: what is chosen by results tells of those whom the results are of."""
    if Budget(DatasetFolder(data)).limit is not None:
        raise ConfigError("the dataset has a lifetime budget, so its patients are not public", hint=AS_PRIVATE)
    if study.told.public:
        return
    runs = [(key.fold, (_private_run(study, key, folds),)) for key in study.cells() if key.epsilon is not None]
    cost = composed_cost(runs, study.told.delta)
    spent = (
        f"epsilon {cost:.1f}" if cost is not None else "no finite epsilon" if not runs else "an epsilon beyond 1,000"
    )
    raise ConfigError(
        f"the study does not say that these data are public: its {len(runs)} private runs together would cost each "
        f"patient {spent} at delta {study.told.delta:g}, and its runs without privacy promise nothing",
        hint=AS_PRIVATE,
    )


def _private_run(study: Study, key: CellKey, folds: Folds) -> MechanismRun:
    patients = sum(map(len, folds)) - len(folds[key.fold])
    return run_of(privacy_spec(study.recipe(key.variant, key.epsilon).privacy, patients=patients))


@contextmanager
def _alone(folder: StudyFolder) -> Iterator[None]:
    """One process at a time works on a study; what a killed one left half done is removed."""
    folder.root.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder.root / "lock", timeout=0):
            shutil.rmtree(folder.scratch, ignore_errors=True)
            for left in folder.cells.rglob(".tmp-*"):
                left.unlink(missing_ok=True)
            yield
            shutil.rmtree(folder.scratch, ignore_errors=True)
    except Timeout:
        raise ConfigError("another process works on this study", hint="wait for it, or use another --out") from None
