"""A page of a few cases to look at: what the model said, next to what is so. Pixels of patients: never released."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from dpmed.core.files import written_aside

COLOURS = ("#56B4E9", "#D55E00", "#F0E442", "#009E73", "#CC79A7", "#0072B2")
"""Of Okabe and Ito's palette, apart for colour-blind eyes too: blue, vermilion, yellow, green, purple, dark blue."""

OPACITY = 0.4
INCHES = 2.6
DPI = 110
MOST_COLUMNS = 4
STAYS = "held-out patients, whom the privacy guarantee does not cover: stays in curator/"


@dataclass(frozen=True)
class RatedSlice:
    """One slice of a patient, with the probability that the network gave to the patient."""

    patient: str
    pixels: Float[np.ndarray, "row column"]
    probability: float
    is_right: bool


@dataclass(frozen=True)
class OutlinedSlice:
    """One slice of a case with the regions of the reference and of the network. `aspect` is a pixel's height."""

    title: str
    pixels: Float[np.ndarray, "row column"]
    reference: Bool[np.ndarray, "region row column"]
    predicted: Bool[np.ndarray, "region row column"]
    aspect: float


@dataclass(frozen=True)
class AnsweredSlice:
    """One slice of a scan with the regions that were found in it, none where the network rates whole scans."""

    title: str
    pixels: Float[np.ndarray, "row column"]
    found: Bool[np.ndarray, "region row column"]
    aspect: float


def rated_figure(rows: Sequence[tuple[str, Sequence[RatedSlice]]]) -> Figure:
    """A row of slices per reference class, the patients whom the network got most right to the left."""
    columns = max(len(slices) for _, slices in rows)
    figure, axes = _page(len(rows), columns, f"From most right (left) to most wrong (right)\n{STAYS}")
    for line, (name, slices) in zip(axes, rows, strict=True):
        for number, (axis, one) in enumerate(zip(line, slices, strict=False)):
            verdict = "right" if one.is_right else "wrong"
            _show(axis, one.pixels, f"{one.patient}\npredicted {one.probability:.3f}: {verdict}")
            if number == 0:
                axis.set_ylabel(f"reference: {name}", fontsize=10)
    return figure


def overlay_figure(rows: Sequence[OutlinedSlice], regions: Sequence[str]) -> Figure:
    """A row per case: the image, the reference over it, the prediction over it."""
    figure, axes = _page(len(rows), 3, f"The slice with most tumour: image, reference, prediction\n{STAYS}")
    for line, row in zip(axes, rows, strict=True):
        _show(line[0], row.pixels, row.title, aspect=row.aspect)
        for axis, title, masks in ((line[1], "reference", row.reference), (line[2], "prediction", row.predicted)):
            _show(axis, row.pixels, title, aspect=row.aspect)
            axis.imshow(painted(masks), aspect=row.aspect, interpolation="nearest")
    _explain_colours(figure, regions)
    return figure


def answers_figure(answers: Sequence[AnsweredSlice], regions: Sequence[str], title: str) -> Figure:
    """Scans without a reference, several in a row, what the network found painted over them."""
    columns = min(len(answers), MOST_COLUMNS)
    figure, axes = _page(-(-len(answers) // columns), columns, title)
    for axis, one in zip(axes.flat, answers, strict=False):
        _show(axis, one.pixels, one.title, aspect=one.aspect)
        axis.imshow(painted(one.found), aspect=one.aspect, interpolation="nearest")
    if any(len(one.found) for one in answers):
        _explain_colours(figure, regions)
    return figure


def _explain_colours(figure: Figure, regions: Sequence[str]) -> None:
    colours = [Patch(color=_colour(number), label=region.replace("_", " ")) for number, region in enumerate(regions)]
    figure.legend(handles=colours, loc="outside lower center", ncols=len(regions), fontsize=9, frameon=False)


def save(figure: Figure, path: Path, *, mode: int = 0o644) -> None:
    """Write a PNG, all or nothing."""
    with written_aside(path, mode=mode) as aside:
        figure.savefig(aside, dpi=DPI)


def _page(rows: int, columns: int, title: str) -> tuple[Figure, np.ndarray]:
    figure = Figure(figsize=(max(INCHES * columns, 7), (INCHES + 0.45) * rows + 0.7), layout="constrained")
    figure.suptitle(title, fontsize=10)
    axes: np.ndarray = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    return figure, axes


def _show(axis: Axes, pixels: np.ndarray, title: str, *, aspect: float = 1.0) -> None:
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=1, aspect=aspect)
    axis.set_title(title, fontsize=9)


def painted(masks: Bool[np.ndarray, "region row column"]) -> Float[np.ndarray, "row column rgba"]:
    """One colour per region, later ones (the inner ones, in BraTS) over earlier ones; solid along their borders."""
    paint = np.zeros((*masks.shape[1:], 4))
    for number, mask in enumerate(masks):
        paint[mask] = (*to_rgb(_colour(number)), OPACITY)
        paint[mask & ~_inside(mask), 3] = 1
    return paint


def _inside(mask: Bool[np.ndarray, "row column"]) -> Bool[np.ndarray, "row column"]:
    framed = np.pad(mask, 1)
    inside: np.ndarray = framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    return inside


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
