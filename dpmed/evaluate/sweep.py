"""What privacy costs: runs of one recipe at different epsilon, judged on the same patients."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes

from dpmed.core.errors import ConfigError, MismatchError
from dpmed.core.folders import RunFolder
from dpmed.core.runconfig import RunConfig
from dpmed.evaluate.details import Sweep, SweepPoint
from dpmed.evaluate.results import ClassificationScores, Evaluation
from dpmed.evaluate.tables import NAMES


def check_sweep(run: RunFolder, others: Sequence[RunFolder]) -> None:
    """Raises `MismatchError` for runs that differ by more than privacy, `ConfigError` for one that is named twice."""
    configs = [RunConfig.load(one) for one in (run, *others)]
    if len({config.run for config in configs}) < len(configs):
        raise ConfigError("one run is named twice", hint="name each run of the sweep once, RUN itself not again")
    first = configs[0].recipe
    for config in configs[1:]:
        if (config.recipe.data, config.recipe.model, config.task) != (first.data, first.model, configs[0].task):
            raise MismatchError(
                "the runs of a sweep differ by more than privacy: another network, or images read in another way",
                hint="train them with one recipe and different --epsilon, one with --non-private",
            )


def sweep_of(evaluations: Sequence[Evaluation]) -> Sweep:
    """AUROC, or the mean Dice, by epsilon. Raises `ConfigError` where AUROC is not defined."""
    points = sorted(map(_point, evaluations), key=lambda point: point.epsilon or math.inf)
    is_auroc = isinstance(evaluations[0].scores, ClassificationScores)
    return Sweep(measure="auroc" if is_auroc else "dice_mean", points=tuple(points))


def draw_sweep(axes: Axes, sweep: Sweep, *, colour: str, plain: str) -> None:
    """Utility against epsilon with its intervals; the run without a promise as a line with a band."""
    private = {point.epsilon: point for point in sweep.points if point.epsilon is not None}
    for epsilon, point in private.items():
        axes.vlines(epsilon, *(point.value_ci or (point.value, point.value)), color=colour, linewidth=1.5)
    axes.plot(list(private), [point.value for point in private.values()], color=colour, marker="o")
    for point in sweep.points:
        if point.epsilon is None:
            axes.axhline(point.value, color=plain, linestyle="--", label="without privacy")
            if point.value_ci is not None:
                axes.axhspan(*point.value_ci, color=plain, alpha=0.12, linewidth=0)
    if len(private) > 1:
        axes.set_xscale("log")
        axes.set_xticks(list(private), [f"{epsilon:.3g}" for epsilon in private])
        axes.minorticks_off()
    axes.set(xlabel="epsilon", ylabel=NAMES[sweep.measure], title="what privacy costs")


def _point(evaluation: Evaluation) -> SweepPoint:
    scores, said = evaluation.scores, evaluation.statement
    if isinstance(scores, ClassificationScores):
        value, interval = scores.auroc, scores.auroc_ci
    else:
        value, interval = scores.dice_mean, scores.dice_ci
    if value is None:
        raise ConfigError("with patients of one class there is no AUROC to compare", hint="judge another split")
    epsilon = said.epsilon if said.valid else None
    return SweepPoint(run=evaluation.run, epsilon=epsilon, delta=said.delta, value=value, value_ci=interval)
