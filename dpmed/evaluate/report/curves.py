"""Curves as SVG to stand inside a page, in the page's own colour of ink, dark or light."""

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpmed.evaluate.details import Curves, ReliabilityBin
from dpmed.evaluate.results import Evaluation, SegmentedPatient
from dpmed.evaluate.sweep import draw_sweep

INK = "#0a0b0c"
"""Replaced by the colour of the page's text, whatever it is there."""
LINE, SECOND = "#1f9e94", "#e06a10"
"""Apart from each other and from the page, dark or light."""
PANEL_INCHES = 3.1
ROUND = 200
"""Points of a loss curve; with more, each is the mean of several steps."""


def classification_curves(curves: Curves) -> str:
    """ROC, precision against recall, and what became of those to whom some probability was given."""
    figure, (left, middle, right) = _panels(3)
    if curves.roc:
        left.step(*zip(*curves.roc, strict=True), where="post", color=LINE)
        middle.step(*zip(*curves.precision_recall, strict=True), where="post", color=LINE)
    left.plot([0, 1], [0, 1], color=INK, alpha=0.4, linewidth=0.8, linestyle=":")
    _reliability(right, curves.reliability)
    left.set(title="ROC", xlabel="1 - specificity", ylabel="sensitivity")
    middle.set(title="precision and recall", xlabel="recall (sensitivity)", ylabel="precision", ylim=(0, 1.05))
    right.set(title="reliability", xlabel="probability given", ylabel="share with the disease", ylim=(-0.05, 1.05))
    return _svg(figure, "classification")


def segmentation_curves(patients: Sequence[SegmentedPatient]) -> str:
    """Every patient's Dice and HD95 by region; a bar at the median."""
    figure, (left, right) = _panels(2, wide=1.5)
    _strips(left, {region: [patient.dice[region] for patient in patients] for region in patients[0].dice})
    _strips(right, {region: [patient.hd95_mm[region] for patient in patients] for region in patients[0].dice})
    left.set(title="Dice, each patient", ylim=(-0.03, 1.03))
    right.set(title="HD95 in mm, each patient", ylim=(0, None))
    return _svg(figure, "segmentation")


def training_curve(losses: Sequence[float], spent: tuple[Sequence[int], Sequence[float]] | None) -> str:
    """The loss by step, without noise and so for the curator alone; above it what was spent, where there is a price."""
    figure, (axes,) = _panels(1, wide=3.0)
    width = max(1, len(losses) // ROUND)
    whole = len(losses) // width * width
    means = np.reshape(losses[:whole], (-1, width)).mean(1)
    axes.plot(np.arange(len(means)) * width + (width - 1) / 2, means, color=LINE)
    axes.set(title="training loss", xlabel="step", ylabel=f"mean over {width} steps" if width > 1 else "mean loss")
    if spent is not None:
        steps, epsilons = spent
        twin = axes.twinx()
        twin.plot(steps, epsilons, color=SECOND)
        twin.set(ylim=(0, None))
        twin.set_ylabel("epsilon spent", color=SECOND)
        twin.tick_params(colors=SECOND)
        twin.spines[["top", "left", "bottom"]].set_visible(False)
    return _svg(figure, "training")


def sweep_figure(evaluation: Evaluation) -> Figure:
    """Utility against epsilon."""
    assert evaluation.sweep is not None, "there were other runs"
    figure, (axes,) = _panels(1, wide=3.0)
    draw_sweep(axes, evaluation.sweep, colour=LINE, plain=SECOND)
    if any(point.epsilon is None for point in evaluation.sweep.points):
        axes.legend(frameon=False, labelcolor=INK)
    return figure


def sweep_curve(evaluation: Evaluation) -> str:
    """The same for a page."""
    return _svg(sweep_figure(evaluation), "sweep")


def _reliability(axes: Axes, bins: Sequence[ReliabilityBin]) -> None:
    """A disc for each tenth of the scale, as large as it has patients, with its interval."""
    axes.plot([0, 1], [0, 1], color=INK, alpha=0.4, linewidth=0.8, linestyle=":")
    patients = sum(one.patients for one in bins)
    for one in bins:
        axes.vlines(one.mean_probability, *one.positive_share_ci, color=LINE, alpha=0.5)
        size = 20 + 240 * one.patients / patients
        axes.scatter(one.mean_probability, one.positive_share, s=size, color=LINE, alpha=0.7)
    axes.set(xlim=(-0.05, 1.05))


def _strips(axes: Axes, by_region: dict[str, list[float]]) -> None:
    scatter = np.random.default_rng(0)  # sideways alone, so that equal values do not hide each other
    for place, values in enumerate(by_region.values()):
        aside = scatter.uniform(-0.18, 0.18, len(values))
        axes.scatter(place + aside, values, s=14, color=LINE, alpha=0.6, linewidths=0)
        axes.hlines(np.median(values), place - 0.3, place + 0.3, color=SECOND, linewidth=2)
    axes.set_xticks(range(len(by_region)), [region.replace("_", "\n") for region in by_region])
    axes.set_xlim(-0.6, len(by_region) - 0.4)


def _panels(count: int, *, wide: float = 1.0) -> tuple[Figure, Any]:
    with mpl.rc_context():
        figure = Figure(figsize=(PANEL_INCHES * count * wide, PANEL_INCHES), layout="constrained")
        axes = figure.subplots(1, count, squeeze=False)[0]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.patch.set_alpha(0)
        one.tick_params(colors=INK)
        for spine in one.spines.values():
            spine.set_color(INK)
        for text in (one.title, one.xaxis.label, one.yaxis.label):
            text.set_color(INK)
    figure.patch.set_alpha(0)
    return figure, axes


def _svg(figure: Figure, salt: str) -> str:
    """The figure as an SVG element, its text as text, without a word about when and with what it was made."""
    target = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(target, format="svg")
    svg = re.sub(r"<metadata>.*?</metadata>", "", target.getvalue(), flags=re.DOTALL)
    return svg[svg.index("<svg") :].replace(INK, "currentColor")
