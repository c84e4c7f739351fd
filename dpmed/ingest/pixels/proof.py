"""A picture of where text was found, with the text itself blacked out: to be looked at without reading it."""

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw

from dpmed.ingest.pixels.fill import fill
from dpmed.ingest.pixels.projections import grey
from dpmed.ingest.pixels.text import Box

LONGEST = 512
FRAME = (255, 140, 0)


def picture_of_boxes(frame: np.ndarray, boxes: Iterable[Box]) -> bytes:
    """PNG of at most 512 pixels a side: boxes framed in orange and black inside."""
    found = tuple(boxes)
    image = Image.fromarray(fill(grey(frame), found)).convert("RGB")
    drawing = ImageDraw.Draw(image)
    for box in found:
        drawing.rectangle((box.left, box.top, box.right - 1, box.bottom - 1), fill=(0, 0, 0), outline=FRAME, width=2)
    image.thumbnail((LONGEST, LONGEST))
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()
