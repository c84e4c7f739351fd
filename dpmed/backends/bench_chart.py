"""The cost of a private step as a picture: against batch size, engine by engine, and against model size."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpmed.backends.bench import ORDINARY, Row
from dpmed.core.files import written_aside

COLOURS = ("#0072B2", "#56B4E9", "#009E73", "#D55E00", "#CC79A7")


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the chart in the format of `path`: one panel for each model, and one over all."""
    models = list(dict.fromkeys(row.model for row in rows))
    engines = [name for name in dict.fromkeys(row.engine for row in rows) if name != ORDINARY]
    colours = dict(zip(engines, COLOURS, strict=False))
    panels = len(models) + (len(models) > 1)
    figure = Figure(figsize=(4.4 * panels, 3.8), layout="constrained")
    places = figure.subplots(1, panels, squeeze=False).flatten()
    for model, axes in zip(models, places, strict=False):
        _of_model(axes, [row for row in rows if row.model == model], colours)
    if len(models) > 1:
        _over_models(places[-1], rows, colours)
    for axes in places:
        axes.axhline(1, color="#666666", linestyle=":")
        axes.set_ylabel("times the ordinary step")
        axes.set_ylim(0, 1.1 * axes.dataLim.y1)
    with written_aside(path) as aside:
        figure.savefig(aside, format=path.suffix.removeprefix("."), dpi=150)


def _of_model(axes: Axes, rows: Sequence[Row], colours: dict[str, str]) -> None:
    sizes = sorted({row.batch for row in rows})
    present = [name for name in colours if any(row.engine == name for row in rows)]
    for place, name in enumerate(present):
        points = {row.batch: row.ratio_to_nonprivate for row in rows if row.engine == name}
        if len(sizes) > 1:
            axes.plot(list(points), list(points.values()), "o-", color=colours[name], label=name)
        else:
            axes.bar(name.replace(" ", "\n"), points[sizes[0]], color=colours[name])
            axes.annotate(f"{points[sizes[0]]:.2f}", (place, points[sizes[0]]), ha="center", va="bottom")
    axes.set_title(f"{rows[0].model}, {_millions(rows[0].parameters)} weights")
    patients = "patients a step" if len(sizes) > 1 else f"{sizes[0]} patients a step"
    images = rows[0].images_per_patient
    axes.set_xlabel(f"{patients}, {images} images each" if images > 1 else patients)
    if len(sizes) > 1:
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [str(size) for size in sizes])
        _legend(axes)


def _over_models(axes: Axes, rows: Sequence[Row], colours: dict[str, str]) -> None:
    """At the largest batch of each model, over its number of weights."""
    largest = {row.model: max(other.batch for other in rows if other.model == row.model) for row in rows}
    for name, colour in colours.items():
        chosen = [row for row in rows if row.engine == name and row.batch == largest[row.model]]
        points = sorted((row.parameters, row.ratio_to_nonprivate) for row in chosen)
        axes.plot(*zip(*points, strict=True), "o-", color=colour, label=name)
    sizes = sorted({row.parameters for row in rows})
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(sizes, [_millions(size) for size in sizes], rotation=20)
    axes.set_title("all models")
    _legend(axes)


def _legend(axes: Axes) -> None:
    """Below, where no line can run through it."""
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.22))


def _millions(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} M" if parameters >= 1e5 else f"{parameters / 1e3:.0f} k"
