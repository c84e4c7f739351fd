"""A study as pictures: the metric against epsilon, and what each variant gains."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dpmed.evaluate.pictures import COLOURS, save
from dpmed.study.plan import epsilon_text
from dpmed.study.result import Row, StudyResult
from dpmed.study.verdict import ONE_SEED, Verdict, verdict

FRONTIER, GAINS = "frontier.png", "gains.png"
BLUE, RED, GREY, DARK = "#0072B2", "#D55E00", "#888888", "#222222"
OF_VERDICT: dict[Verdict, str] = {"helps": BLUE, "hurts": RED, "no clear difference": GREY, ONE_SEED: GREY}
MARKS = "osD^vPX"
BESIDE = 0.035


def frontier(result: StudyResult) -> dict[str, list[Row]]:
    """The variants that were run at several epsilons, each from no privacy down to the smallest epsilon."""
    counts = Counter(row.variant for row in result.rows)
    rows = sorted(result.rows, key=lambda row: -(row.epsilon or float("inf")))
    return {name: [row for row in rows if row.variant == name] for name, count in counts.items() if count > 1}


def gains_epsilon(result: StudyResult) -> float | None:
    """The epsilon at which most variants stand beside the base; 0 where none does."""
    counts = Counter(row.epsilon for row in result.rows if row.gain is not None)
    return counts.most_common(1)[0][0] if counts else 0.0


def gains(result: StudyResult) -> tuple[Row, ...]:
    """The variants that stand beside the base at one epsilon, most gain first."""
    there = [row for row in result.rows if row.gain is not None and row.epsilon == gains_epsilon(result)]
    return tuple(sorted(there, key=lambda row: -(row.gain or 0)))


def write_charts(result: StudyResult, folder: Path, *, prefix: str = "") -> tuple[str, ...]:
    """Write `frontier.png` and `gains.png`, as far as there is something to draw; returns the names written."""
    written = []
    if lines := frontier(result):
        save(_frontier_figure(result, lines), folder / f"{prefix}{FRONTIER}")
        written.append(f"{prefix}{FRONTIER}")
    if rows := gains(result):
        save(_gains_figure(result, rows), folder / f"{prefix}{GAINS}")
        written.append(f"{prefix}{GAINS}")
    return tuple(written)


def _frontier_figure(result: StudyResult, lines: dict[str, list[Row]]) -> Figure:
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.subplots()
    epsilons = sorted({row.epsilon for rows in lines.values() for row in rows}, key=lambda one: one or float("inf"))
    places = {epsilon: float(place) for place, epsilon in enumerate(epsilons)}
    for number, (name, rows) in enumerate(lines.items()):
        aside = (number - (len(lines) - 1) / 2) * BESIDE
        _line(axes, name, rows, {epsilon: place + aside for epsilon, place in places.items()}, number)
    axes.set_xticks(list(places.values()), ["no privacy" if one is None else epsilon_text(one) for one in epsilons])
    axes.set(xlabel=f"epsilon per patient, at delta {result.delta:g}", ylabel=result.metric, title=result.title)
    axes.grid(axis="y", alpha=0.3)
    axes.margins(x=0.08)
    axes.legend(frameon=False, loc="upper left", fontsize=9)
    return figure


def _line(axes: Axes, name: str, rows: Sequence[Row], places: dict[float | None, float], number: int) -> None:
    """A dashed last stretch to the run without privacy: there is no epsilon between."""
    colour, mark = ((DARK, *COLOURS)[number % (len(COLOURS) + 1)], MARKS[number % len(MARKS)])
    private = [row for row in rows if row.epsilon is not None]
    axes.plot([places[row.epsilon] for row in private], [row.value for row in private], color=colour, linewidth=1.5)
    if len(private) < len(rows) and private:
        ends = [rows[0], private[0]]
        axes.plot([places[row.epsilon] for row in ends], [row.value for row in ends], color=colour, linestyle=":")
    for row in rows:
        if row.value_ci is not None:
            axes.vlines(places[row.epsilon], *row.value_ci, color=colour, linewidth=1, alpha=0.7)
    axes.plot([places[row.epsilon] for row in rows], [row.value for row in rows], mark, color=colour, label=name)


def _gains_figure(result: StudyResult, rows: Sequence[Row]) -> Figure:
    figure = Figure(figsize=(7, 1.4 + 0.3 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(rows)):
        colour = OF_VERDICT[verdict(row)]
        if row.gain_ci is not None:
            axes.hlines(place, *row.gain_ci, color=colour, linewidth=1.5)
        axes.plot([row.gain or 0], [place], "o", color=colour)
    axes.axvline(0, color=DARK, linewidth=0.8)
    said = sorted({verdict(row) for row in rows}, key=list(OF_VERDICT).index)
    dots = [Line2D([], [], color=OF_VERDICT[one], marker="o", linewidth=1.5, label=one) for one in said]
    figure.legend(handles=dots, loc="outside lower center", ncols=len(dots), frameon=False, fontsize=9)
    axes.set_yticks(range(len(rows)), [row.variant for row in reversed(rows)])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    epsilon = rows[0].epsilon
    at = "without privacy" if epsilon is None else f"at epsilon {epsilon:g}"
    axes.set(xlabel=f"{result.metric} above {result.base}, 95 % interval", title=f"{result.title}: {at}")
    axes.grid(axis="x", alpha=0.3)
    return figure
