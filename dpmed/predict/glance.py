"""A page to glance at: of every scan the slice that says most, with what was found in it."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float
from torch import Tensor

from dpmed.evaluate.pictures import AnsweredSlice, answers_figure, save
from dpmed.evaluate.segmentation import largest_slice
from dpmed.predict.reading import Reading
from dpmed.predict.request import Answer
from dpmed.predict.tables import PRIVATE

PAGE = "answers.png"
MOST_SCANS = 16
LONGEST_NAME = 30
TITLE = "What the model says, at the resolution it sees. A research model, not a medical device"


def rated_slice(answer: Answer, reading: Reading, rated: Float[Tensor, "view"]) -> AnsweredSlice:
    """The slice that the network rated highest; of a volume rated in patches, the middle one."""
    rates_slices = len(rated) == len(reading.whole.display)
    number = int(rated.argmax()) if rates_slices else len(reading.whole.display) // 2
    nothing = np.zeros((0, *reading.whole.display.shape[1:]), dtype=bool)
    return _slice(answer, reading, number, nothing, f"probability {answer.probability:.3f}")


def outlined_slice(answer: Answer, reading: Reading, logits: Float[Tensor, "region slice row column"]) -> AnsweredSlice:
    """The slice where most voxels are in some region; the middle one where none is."""
    found = logits > 0
    fullest = largest_slice(found)
    number = len(reading.whole.display) // 2 if fullest is None else fullest
    (region, ml), *_ = (answer.volumes_ml or {}).items()
    return _slice(answer, reading, number, found[:, number].numpy(), f"{region.replace('_', ' ')} {ml:.1f} ml")


def save_page(slices: Sequence[AnsweredSlice], regions: Sequence[str], out: Path) -> None:
    """Draw them, at most `MOST_SCANS`."""
    save(answers_figure(slices, regions, TITLE), out / PAGE, mode=PRIVATE)


def _slice(answer: Answer, reading: Reading, number: int, found: np.ndarray, words: str) -> AnsweredSlice:
    row_mm, column_mm = reading.whole.spacing_mm[-2:]
    name = PurePosixPath(answer.scan).name
    name = name if len(name) <= LONGEST_NAME else f"…{name[-LONGEST_NAME:]}"
    return AnsweredSlice(f"{name}\n{words}", reading.whole.display[number].copy(), found, row_mm / column_mm)
