"""Cases to scroll through: every slice as a small picture, image beside reference beside prediction."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from dpmed.core.specs import TaskSpec
from dpmed.data import PatientDataset, WholeCase
from dpmed.evaluate import inference
from dpmed.evaluate.judges import Classifier, Judge, Segmenter, mean_dice, most_telling, spread
from dpmed.evaluate.pictures import painted
from dpmed.evaluate.results import ClassifiedPatient, SegmentedPatient

MOST_SLICES = 25
"""Of a case, evenly spread, the telling one among them."""
PANEL = 224
"""Pixels across, whatever the network sees."""
QUALITY = 80
GAP = 4


@dataclass(frozen=True)
class Exhibit:
    """One case on the page: JPEG pictures by slice number, and the one to begin with."""

    title: str
    verdict: str
    frames: tuple[tuple[int, bytes], ...]
    start: int


def exhibits(
    judge: Judge[Any], judged: Sequence[ClassifiedPatient | SegmentedPatient], dataset: PatientDataset
) -> tuple[Exhibit, ...]:
    """The best, the median and the worst case; or of each class those judged most rightly and most wrongly."""
    if isinstance(judge, Segmenter):
        cases = [(one.patient, case) for one in judged if isinstance(one, SegmentedPatient) for case in one.cases]
        return tuple(
            _outlined(
                judge,
                _whole(dataset, patient, case.case),
                f"{grade}: {patient}",
                f"Dice {mean_dice(case):.3f}",
                case.slice,
            )
            for grade, patient, case in spread(cases)
        )
    assert isinstance(judge, Classifier)
    found = []
    for label in (1, 0):
        rated = [one for one in judged if isinstance(one, ClassifiedPatient)]
        for patient in most_telling(rated, label=label):
            shown = max(patient.cases, key=lambda case: case.probability)
            words = _words(judge.task, label)
            whole = _whole(dataset, patient.patient, shown.case)
            found.append(
                _plain(whole, f"{words}: {patient.patient}", f"probability {patient.probability:.3f}", shown.slice)
            )
    return tuple(found)


def _words(task: TaskSpec, label: int) -> str:
    return task.outputs[0] if label else f"no {task.outputs[0]}"


def _whole(dataset: PatientDataset, patient: str, case: str) -> WholeCase:
    return next(whole for whole in dataset.whole(patient) if whole.case.case == case)


def _outlined(judge: Segmenter, whole: WholeCase, title: str, verdict: str, start: int) -> Exhibit:
    reference = inference.reference(whole, judge.recipe).numpy()
    predicted = inference.regions(judge.backend, whole, judge.recipe).numpy()
    frames = tuple(
        (
            number,
            _jpeg(
                [
                    _panel(whole, number, None),
                    _panel(whole, number, reference[:, number]),
                    _panel(whole, number, predicted[:, number]),
                ]
            ),
        )
        for number in _slices(len(whole.display), start)
    )
    return Exhibit(title, f"{verdict}; image, reference, prediction", frames, start)


def _plain(whole: WholeCase, title: str, verdict: str, start: int) -> Exhibit:
    numbers = _slices(len(whole.display), start)
    return Exhibit(title, verdict, tuple((number, _jpeg([_panel(whole, number, None)])) for number in numbers), start)


def _slices(count: int, start: int) -> list[int]:
    spread_out = np.linspace(0, count - 1, min(count, MOST_SLICES)).round().astype(int).tolist()
    return sorted({*spread_out, start})


def _panel(
    whole: WholeCase, number: int, regions: Bool[np.ndarray, "region row column"] | None
) -> UInt8[np.ndarray, "row column rgb"]:
    """A slice at the size of the page, its pixels as tall as they are in the patient."""
    grey = whole.display[number]
    row_mm, column_mm = whole.spacing_mm[-2:]
    rows, columns = grey.shape[0] * row_mm, grey.shape[1] * column_mm
    size = (round(PANEL * columns / max(rows, columns)), round(PANEL * rows / max(rows, columns)))
    image = Image.fromarray((grey * 255).astype(np.uint8)).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    if regions is not None and regions.any():
        paint = (painted(regions) * 255).astype(np.uint8)
        image.paste(*_over(paint, size))
    canvas = Image.new("RGB", (PANEL, PANEL))
    canvas.paste(image, ((PANEL - size[0]) // 2, (PANEL - size[1]) // 2))
    return np.asarray(canvas)


def _over(
    paint: UInt8[np.ndarray, "row column rgba"], size: tuple[int, int]
) -> tuple[Image.Image, tuple[int, int], Image.Image]:
    layer = Image.fromarray(paint, "RGBA").resize(size, Image.Resampling.NEAREST)
    return layer.convert("RGB"), (0, 0), layer.getchannel("A")


def _jpeg(panels: Sequence[UInt8[np.ndarray, "row column rgb"]]) -> bytes:
    gap = np.zeros((PANEL, GAP, 3), np.uint8)
    joined = np.concatenate([piece for panel in panels for piece in (panel, gap)][:-1], axis=1)
    target = io.BytesIO()
    Image.fromarray(joined).save(target, "JPEG", quality=QUALITY)
    return target.getvalue()
