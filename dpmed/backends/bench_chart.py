"""The cost of a private step as a picture: against batch size where there are several, else way by way."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpmed.backends.bench import ORDINARY, Row
from dpmed.core.files import written_aside

COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#D55E00", "#CC79A7")


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the chart in the format of `path`; one panel for each case."""
    cases = list(dict.fromkeys(row.case for row in rows))
    figure = Figure(figsize=(4.6 * len(cases), 3.8), layout="constrained")
    for case, axes in zip(cases, figure.subplots(1, len(cases), squeeze=False).flat, strict=True):
        own = [row for row in rows if row.case == case]
        _panel(axes, own)
        axes.axhline(1, color="#666666", linestyle=":")
        axes.set(title=f"{case}, {own[0].parameters / 1e6:.1f} M weights", ylabel="time of the ordinary step")
        axes.set_ylim(0, 1.1 * max(row.ratio for row in own))
    with written_aside(path) as aside:
        figure.savefig(aside, format=path.suffix.removeprefix("."), dpi=150)


def _panel(axes: Axes, rows: Sequence[Row]) -> None:
    ways = [way for way in dict.fromkeys(row.way for row in rows) if way != ORDINARY]
    sizes = sorted({row.batch for row in rows})
    for way, colour in zip(ways, COLOURS, strict=False):
        points = {row.batch: row.ratio for row in rows if row.way == way}
        if len(sizes) > 1:
            axes.plot(list(points), list(points.values()), "o-", color=colour, label=way)
        else:
            axes.bar(way.replace(" ", "\n"), points[sizes[0]], color=colour)
            axes.annotate(f"{points[sizes[0]]:.2f}", (ways.index(way), points[sizes[0]]), ha="center", va="bottom")
    if len(sizes) > 1:
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.legend(frameon=False, fontsize=8)
    axes.set_xlabel("patients a step" if len(sizes) > 1 else f"{sizes[0]} patients a step")
