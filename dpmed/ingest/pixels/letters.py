"""What a line of text says: the recogniser that comes with rapidocr (PP-OCR), one line at a time."""

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from jaxtyping import UInt8

from dpmed.ingest.pixels.lines import Corners, as_input
from dpmed.ingest.pixels.strokes import Picture

HEIGHT, LEAST_WIDTH = 48, 320
"""Pixels of a line as the network wants it; a shorter one is followed by grey."""
UPRIGHT = 1.5
"""Height over width from which a line runs downwards and is turned."""
SILENT = 4


class Recogniser:
    """Reads lines. `model` is the network's file, which lists its characters, too."""

    def __init__(self, model: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = SILENT
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # Memory kept for the next run, or taken in one piece for a whole one, is twice what a line needs.
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
        # More than this is one more copy of all weights, and takes longer than a few lines are read in.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name
        characters = self._session.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._characters = np.array(["", *characters, " "])

    def read(self, picture: Picture, corners: Corners) -> tuple[str, float]:
        """The text of a line, and how sure that is: the mean over its characters."""
        line = _straight(picture, corners)
        wide = -(-HEIGHT * line.shape[1] // line.shape[0])
        padded = np.zeros((1, 3, HEIGHT, max(wide, LEAST_WIDTH)), np.float32)
        padded[..., :wide] = as_input(cv2.resize(line, (wide, HEIGHT)))
        likely = self._session.run(None, {self._input: padded})[0][0]
        best = likely.argmax(axis=1)
        # A character counts once for as long as it lasts, and number 0 is the gap between two (CTC).
        begins = (best != 0) & (best != np.concatenate(([-1], best[:-1])))
        scores = likely.max(axis=1)[begins]
        return "".join(self._characters[best[begins]]), float(scores.mean()) if scores.size else 0.0


def _straight(picture: Picture, corners: Corners) -> UInt8[np.ndarray, "row column"]:
    """A line cut out and laid level."""
    top, right, bottom, left = (float(np.linalg.norm(corners[n] - corners[(n + 1) % 4])) for n in range(4))
    wide, high = max(int(max(top, bottom)), 1), max(int(max(left, right)), 1)
    target = np.array([(0, 0), (wide, 0), (wide, high), (0, high)], np.float32)
    turn = cv2.getPerspectiveTransform(corners, target)
    line: np.ndarray = cv2.warpPerspective(
        picture, turn, (wide, high), borderMode=cv2.BORDER_REPLICATE, flags=cv2.INTER_CUBIC
    )
    return np.rot90(line).copy() if high >= UPRIGHT * wide else line
