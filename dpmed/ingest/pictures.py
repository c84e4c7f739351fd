"""Image slices (PNG, JPEG, TIFF): decoded to grey, written as a PNG that holds pixels and nothing else."""

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image, ImageOps

from dpmed.core.files import write_atomic
from dpmed.ingest import limits
from dpmed.ingest.identifiers import EMBEDDED, FREE_TEXT, Findings
from dpmed.ingest.quiet import reading
from dpmed.ingest.reasons import Reason, Refused

FORMATS = ("PNG", "JPEG", "TIFF")
GREY_8 = frozenset({"1", "L", "LA", "La"})
DEEP = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})
PIXEL_SETTINGS = frozenset(
    {"gamma", "dpi", "transparency", "srgb", "chromaticity", "interlace", "aspect", "compression"}
)
"""What PIL reports beside text that says something about pixels and not about people."""

Grey = UInt8[np.ndarray, "row column"] | UInt16[np.ndarray, "row column"]


def read_picture(path: Path) -> Grey:
    """Grey values, upright: 8 bits as they are, colour by luminance, 16 bits kept."""
    with reading(), _opened(path) as picture:
        if picture.mode in DEEP:
            return _deep(np.asarray(picture))
        if picture.mode == "F":
            raise Refused(Reason.DEPTH)
        upright = ImageOps.exif_transpose(picture)
        opaque = upright.convert("RGB") if upright.mode not in GREY_8 else upright
        return np.asarray(opaque.convert("L"))


def scan_picture(path: Path, *, harvest: bool) -> Findings:
    """Count text chunks, EXIF, XMP and other passengers of a picture."""
    found = Findings()
    try:
        with reading(), _opened(path) as picture:
            texts = {str(key): value for key, value in picture.info.items() if str(key) not in PIXEL_SETTINGS}
            exif = picture.getexif()
            found.removed[FREE_TEXT] = sum(isinstance(value, str) for value in texts.values())
            found.removed[EMBEDDED] = len(exif) + sum(isinstance(value, bytes) for value in texts.values())
            if harvest:
                values = [value for value in (*texts.values(), *exif.values()) if isinstance(value, str)]
                found.tokens = {value.encode("utf-8", "replace") for value in values if 8 <= len(value) <= 128}
    except Refused:
        pass  # met again, with its reason, when the pixels are read
    found.removed = Counter({name: n for name, n in found.removed.items() if n})
    return found


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    if path.stat().st_size > limits.MAX_FILE_BYTES:
        raise Refused(Reason.TOO_LARGE)
    with Image.open(path, formats=FORMATS) as picture:
        if picture.width * picture.height > limits.MAX_SLICE_PIXELS:
            raise Refused(Reason.TOO_LARGE)
        if getattr(picture, "n_frames", 1) != 1:
            raise Refused(Reason.MULTI_FRAME)
        yield picture


def _deep(values: np.ndarray) -> UInt16[np.ndarray, "row column"]:
    if values.size and (values.min() < 0 or values.max() > np.iinfo(np.uint16).max):
        raise Refused(Reason.DEPTH)
    return values.astype(np.uint16)


def write_picture(path: Path, grey: Grey) -> None:
    """Write a PNG with the chunks that a picture needs and no other."""
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    write_atomic(path, buffer.getvalue())
