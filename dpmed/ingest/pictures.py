"""Image slices (PNG, JPEG, TIFF): decoded to grey, written as a PNG that holds pixels and nothing else.

Whatever the file says about turning is done first. 8-bit grey stays as it is, 16-bit grey keeps its depth, colour of
any kind (palette, CMYK, 48 bits) becomes luminance of 8 bits, transparency is dropped. A TIFF of several pages, an
animation, negative or fractional pixels are held back: what they mean as a slice would be a guess. Of a JPEG with
further pictures behind it (previews that cameras add) the first is the picture.
"""

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image, ImageOps
from PIL.ExifTags import IFD

from dpmed.core.files import write_atomic
from dpmed.ingest import limits
from dpmed.ingest.identifiers import EMBEDDED, FREE_TEXT, Findings
from dpmed.ingest.quiet import decoding
from dpmed.ingest.reasons import Reason, Refused

FORMATS = ("PNG", "JPEG", "TIFF")
GREY_8 = frozenset({"1", "L", "LA", "La"})
DEEP = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})
PIXEL_SETTINGS = frozenset(
    {"gamma", "dpi", "transparency", "srgb", "chromaticity", "interlace", "aspect", "compression"}
)
"""What PIL reports beside text that says something about pixels and not about people."""

PHOTOMETRIC, BITS_PER_SAMPLE, WHITE_IS_ZERO = 262, 258, 0
DIRECTORIES = (IFD.Exif, IFD.GPSInfo, IFD.Interop, IFD.IFD1)
PIXEL_TAGS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284, 290, 291, 292, 293}
    | {296, 301, 317, 318, 319, 320, 322, 323, 324, 325, 338, 339, 340, 341, 347, 529, 530, 531, 532}
)
"""Tags of TIFF 6.0 that say how the pixels are stored."""

Grey = UInt8[np.ndarray, "row column"] | UInt16[np.ndarray, "row column"]


def read_picture(path: Path) -> Grey:
    """Grey values, upright: 8 bits as they are, colour by luminance, 16 bits kept."""
    with decoding(), _opened(path) as picture:
        darkest = _darkest(picture)
        picture.load()  # a TIFF is turned while it is loaded, other formats are not
        upright = ImageOps.exif_transpose(picture)
        if upright.mode in DEEP:
            return _deep(np.asarray(upright), darkest)
        if upright.mode == "F":
            raise Refused(Reason.DEPTH)
        opaque = upright.convert("RGB") if upright.mode not in GREY_8 else upright
        return np.asarray(opaque.convert("L"))


def _darkest(picture: Image.Image) -> int | None:
    """The value of black in a TIFF whose values count downwards; Pillow turns those of 8 bits round, not of 16."""
    tags = getattr(picture, "tag_v2", {})
    if tags.get(PHOTOMETRIC) != WHITE_IS_ZERO:
        return None
    return int(2 ** tags.get(BITS_PER_SAMPLE, (16,))[0] - 1)


def scan_picture(path: Path, *, harvest: bool) -> Findings:
    """Count text chunks, EXIF at every level, XMP, colour profiles, comments and other passengers of a picture."""
    found = Findings()
    try:
        with decoding(), _opened(path) as picture:
            texts = {str(key): value for key, value in picture.info.items() if str(key) not in PIXEL_SETTINGS}
            tags = _tags(picture.getexif())
            found.removed[FREE_TEXT] = sum(isinstance(value, str) for value in texts.values())
            found.removed[EMBEDDED] = len(tags) + sum(isinstance(value, bytes) for value in texts.values())
            if harvest:
                values = [_bytes(value) for value in (*texts.values(), *tags) if isinstance(value, str | bytes)]
                found.tokens = {value for value in values if 8 <= len(value) <= 128}
    except Refused:
        pass  # met again, with its reason, when the pixels are read
    found.removed = Counter({name: n for name, n in found.removed.items() if n})
    return found


def _tags(exif: Image.Exif) -> list[object]:
    """Values that say more than how the pixels lie, also of the directories within: camera, place, thumbnail."""
    inner = [exif.get_ifd(pointer) for pointer in DIRECTORIES]
    levels = [{tag: value for tag, value in exif.items() if tag not in DIRECTORIES}, *inner]
    return [value for level in levels for tag, value in level.items() if tag not in PIXEL_TAGS]


def _bytes(value: str | bytes) -> bytes:
    return (value.encode("utf-8", "replace") if isinstance(value, str) else value).strip(b" \0")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    if path.stat().st_size > limits.MAX_FILE_BYTES:
        raise Refused(Reason.TOO_LARGE)
    # Given a path, Pillow maps plain TIFF into memory with rows and columns exchanged where the file says it is turned.
    with path.open("rb") as file, Image.open(file, formats=FORMATS) as picture:
        if picture.width * picture.height > limits.MAX_SLICE_PIXELS:
            raise Refused(Reason.TOO_LARGE)
        if getattr(picture, "n_frames", 1) != 1 and picture.format != "MPO":
            raise Refused(Reason.MULTI_FRAME)
        yield picture


def _deep(values: np.ndarray, darkest: int | None) -> UInt16[np.ndarray, "row column"]:
    if values.size and (values.min() < 0 or values.max() > np.iinfo(np.uint16).max):
        raise Refused(Reason.DEPTH)
    grey = values.astype(np.uint16)
    return grey if darkest is None else (darkest - grey).astype(np.uint16)


def write_picture(path: Path, grey: Grey) -> None:
    """Write a PNG with the chunks that a picture needs and no other."""
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    write_atomic(path, buffer.getvalue())
