"""From cells to rows: means over folds and seeds, intervals, and what a variant gains over the base."""

import statistics
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from dpmed.core.errors import ConfigError
from dpmed.evaluate.details import Interval
from dpmed.privacy.accounting import epsilon, without_truncation
from dpmed.privacy.mechanisms import MechanismRun
from dpmed.study.cells import Cell
from dpmed.study.judge import METRICS, metric
from dpmed.study.plan import CellKey, Study
from dpmed.study.resample import FoldScores, interval, measured
from dpmed.study.result import FailedCell, Row, StudyResult

Grid = Mapping[tuple[int, int], Cell]
"""The cells of a variant at an epsilon, by seed and fold."""


def summarised(study: Study, cells: Sequence[Cell], failed: Collection[FailedCell] = ()) -> StudyResult:
    """All rows of which at least one seed is whole. `cells` are of this study and of these patients alone."""
    told, planned = study.told, study.cells()
    grids: dict[tuple[str, float | None], dict[tuple[int, int], Cell]] = defaultdict(dict)
    for cell in cells:
        key = cell.asked.key
        grids[key.variant, key.epsilon][key.seed, key.fold] = cell
    own_folds = {(key.variant, key.epsilon): _folds(planned, key) for key in planned}
    rows = [
        _row(study, place, grids[place], own_folds[place], grids.get((study.base, place[1]), {}))
        for place in own_folds
        if _whole_seeds(grids.get(place, {}), own_folds[place])
    ]
    patients = {one.patient: one.positive for cell in cells for one in cell.scores}
    return StudyResult(
        name=told.name,
        file=study.file.name,
        recipe=told.recipe,
        title=told.title or told.name,
        summary=told.summary,
        public=told.public,
        choice=told.choice,
        task=study.task,
        metric=METRICS[study.task],
        delta=told.delta,
        patients=len(patients),
        positives=sum(patients.values()),
        folds=told.folds,
        base=study.base,
        rows=tuple(rows),
        cells=len(cells),
        private_cells=sum(bool(cell.spent) for cell in cells),
        missing=len(planned) - len(cells),
        failed=tuple(failed),
        cost=composed_cost([(cell.asked.key.fold, cell.spent) for cell in cells], told.delta),
        cpu_seconds=sum(cell.cpu_seconds for cell in cells),
        machines=tuple(sorted({cell.machine for cell in cells})),
        devices=tuple(sorted({cell.device for cell in cells})),
        dpmed_versions=tuple(sorted({cell.dpmed_version for cell in cells})),
    )


def composed_cost(runs: Sequence[tuple[int, Sequence[MechanismRun]]], delta: float) -> float | None:
    """The epsilon (RDP) of all runs together for a patient, who is in every one but those of their own fold.

    `runs` come with the fold that they held out; a patient of the fold that was held out least is asked about. None
    without runs, or beyond 1,000.
    """
    steps = {fold: sum(run.steps for other, spent in runs if other == fold for run in spent) for fold, _ in runs}
    own = min(steps, key=lambda fold: steps[fold], default=None)
    of_others = [run for fold, spent in runs if fold != own for run in spent]
    try:
        return epsilon(without_truncation(of_others), delta=delta, accountant="rdp") if of_others else None
    except ConfigError:  # so much that nobody would be protected
        return None


def _folds(planned: Sequence[CellKey], like: CellKey) -> tuple[int, ...]:
    alike = (key.fold for key in planned if (key.variant, key.epsilon) == (like.variant, like.epsilon))
    return tuple(sorted(set(alike)))


def _whole_seeds(grid: Grid, folds: Collection[int]) -> tuple[int, ...]:
    return tuple(seed for seed in sorted({seed for seed, _ in grid}) if all((seed, fold) in grid for fold in folds))


def _row(study: Study, place: tuple[str, float | None], grid: Grid, folds: Sequence[int], base: Grid) -> Row:
    name, own_epsilon = place
    variant, seeds = study.told.variants[name], _whole_seeds(grid, folds)
    used = [grid[seed, fold] for seed in seeds for fold in folds]
    found = measured(_scores(grid, seeds, folds))
    gain, gain_ci, gain_seeds = (None, None, 0) if name == study.base else _gain(grid, base, folds)
    recipe, last = used[0].asked.recipe, used[-1]
    spent = [cell.epsilon for cell in used if cell.epsilon is not None]
    return Row(
        variant=name,
        about=variant.about,
        settings=variant.settings,
        init=variant.init,
        epsilon=own_epsilon,
        seeds=len(seeds),
        folds=len(folds),
        value=found.value,
        value_ci=_within(interval(found)),
        per_seed=tuple(found.values.mean(axis=0).tolist()),
        pooled=float(np.mean([_pooled(grid, seed, folds) for seed in seeds])),
        gain=gain,
        gain_ci=gain_ci,
        gain_seeds=gain_seeds,
        epsilon_spent=max(spent, default=None),
        noise_multiplier=statistics.median(cell.noise_multiplier for cell in used),
        expected_batch_size=recipe.privacy.expected_batch_size,
        train_patients=last.patients,
        steps=last.steps,
        seconds=statistics.median(cell.seconds for cell in used),
        cell_seconds=statistics.median(cell.cell_seconds for cell in used),
        cpu_seconds=statistics.median(cell.cpu_seconds for cell in used),
    )


def _within(found: Interval | None) -> Interval | None:
    """AUROC and Dice are shares, whatever few trainings that differ much would have them be."""
    return None if found is None else (max(0.0, found[0]), min(1.0, found[1]))


def _gain(grid: Grid, base: Grid, folds: Sequence[int]) -> tuple[float | None, Interval | None, int]:
    """On the folds that both have, patient by patient; and the seeds of the side that has fewer."""
    common = [fold for fold in folds if fold in {fold for _, fold in base}]
    ours, theirs = _whole_seeds(grid, common), _whole_seeds(base, common)
    if not common or not ours or not theirs:
        return None, None, 0
    this = measured(_scores(grid, ours, common, beside=base))
    other = measured(_scores(base, theirs, common, beside=grid))
    return this.value - other.value, interval(this, other), min(len(ours), len(theirs))


def _scores(grid: Grid, seeds: Sequence[int], folds: Sequence[int], beside: Grid | None = None) -> list[FoldScores]:
    """Fold by fold, patients in one order; with `beside` only those who are on the same side there.

    A small tumour may be there at one resolution and not at another.
    """
    found = []
    for fold in folds:
        others = [cell for (_, place), cell in (beside or {}).items() if place == fold]
        sides = [{one.patient: one.positive for one in cell.scores} for cell in [grid[seeds[0], fold], *others[:1]]]
        agreed = [name for name in sorted(sides[0]) if all(side.get(name) == sides[0][name] for side in sides)]
        table = [{one.patient: one.score for one in grid[seed, fold].scores} for seed in seeds]
        positives, negatives = ([name for name in agreed if sides[0][name] is wanted] for wanted in (True, False))
        is_auroc = grid[seeds[0], fold].asked.recipe.task == "covid-ct"
        found.append(FoldScores(_array(table, positives), _array(table, negatives) if is_auroc else None))
    return found


def _array(table: Sequence[Mapping[str, float]], patients: Sequence[str]) -> np.ndarray:
    return np.array([[scores[name] for name in patients] for scores in table])


def _pooled(grid: Grid, seed: int, folds: Sequence[int]) -> float:
    """Over all patients at once."""
    everybody = [one for fold in folds for one in grid[seed, fold].scores]
    return metric(grid[seed, folds[0]].asked.recipe.task, everybody)
