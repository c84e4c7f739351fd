"""`--verify`: search every byte that was written for every identifier that came in.

Original strings are kept in memory during the ingest; `needles` says which count, and where. File names, headers and
everything else that is text is searched for whole words, every other byte for longer strings: voxels inside gzip,
pixels inside PNG, DICOM objects from the first byte to the last. If a reader of text in pictures is at hand, a sample
of the pictures is read too.
"""

import gzip
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from jaxtyping import UInt8
from pydicom.datadict import dictionary_VR

from dpmed.core.errors import IdentifierError
from dpmed.core.events import Progress
from dpmed.core.record import Record
from dpmed.ingest.needles import Needles
from dpmed.ingest.opened import open_dicom
from dpmed.ingest.pictures import read_picture
from dpmed.ingest.pixels.inspect import frames_of
from dpmed.ingest.pixels.text import TextFinder, is_installed, matches
from dpmed.ingest.quiet import reading
from dpmed.ingest.reasons import Reason, Refused

GZIP_HEADER = 10
HEADER = 352
"""Of NIfTI-1 in one file; what follows are voxels."""
BINARY = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "AT", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"})
"""Value representations that hold numbers as such (PS3.5 6.2)."""

READABLE_LEAST = 4
SAMPLE = 24
"""Files whose pictures are read: it takes about a second each."""
LARGEST_READ = 2**28
"""Bytes of pixels up to which an object is decoded for reading."""

Picture = UInt8[np.ndarray, "row column"]
TextReader = Callable[[Picture], int]
"""How many pieces of text in one picture identify somebody."""


class Searched(Record):
    """What was searched, and in how many places something was found. Counts alone."""

    files: int = 0
    bytes_written: int = 0
    bytes_inflated: int = 0
    pictures_read: int = 0
    needles: int = 0
    hits: int = 0

    def __add__(self, other: "Searched") -> "Searched":
        return Searched(
            files=self.files + other.files,
            bytes_written=self.bytes_written + other.bytes_written,
            bytes_inflated=self.bytes_inflated + other.bytes_inflated,
            pictures_read=self.pictures_read + other.pictures_read,
            needles=max(self.needles, other.needles),
            hits=self.hits + other.hits,
        )


@dataclass(frozen=True)
class Searcher:
    """How to search one written file.

    `reader` reads text in those pictures whose files are in `sample`. `own` are strings, by patient, that are searched
    in the headers of this patient's objects alone.
    """

    out: Path
    needles: Needles
    reader: TextReader | None = None
    sample: frozenset[str] = frozenset()
    own: Mapping[str, frozenset[bytes]] = field(default_factory=dict, repr=False)
    _latest: dict[str, Needles] = field(default_factory=dict, repr=False)

    def __call__(self, name: str) -> Searched:
        """Search the file `name` of the dataset."""
        path = self.out / name
        if name.endswith(".gz"):
            found = self._volume(path)
        elif name.endswith(".dcm"):
            found = self._object(path, name)
        else:
            found = self._picture(path)
        own = Searched(files=1, needles=len(self.needles), bytes_written=path.stat().st_size)
        return found + own + Searched(hits=self.needles.in_text(name.encode())) + self._read(path, name)

    def _volume(self, path: Path) -> Searched:
        with path.open("rb") as file:
            hits = self.needles.in_text(file.read(GZIP_HEADER))
        with gzip.open(path) as inflated:
            hits += self.needles.in_text(inflated.read(HEADER))
            found, size = self.needles.in_stream(inflated.read)
        return Searched(bytes_inflated=HEADER + size, hits=hits + found)

    def _picture(self, path: Path) -> Searched:
        pixels = read_picture(path).tobytes()
        hits = self.needles.in_voxels(path.read_bytes()) + self.needles.in_voxels(pixels)
        return Searched(bytes_inflated=len(pixels), hits=hits)

    def _object(self, path: Path, name: str) -> Searched:
        """Texts of the header word by word, then the whole file."""
        try:
            with open_dicom(path) as file, reading():
                texts = tuple(_texts(file.header()))
        except Refused:  # what cannot be told apart counts as text
            texts = (path.read_bytes(),)
        both = (self.needles, self._of_patient(name))
        hits = sum(needles.in_text(b"\n".join(texts)) for needles in both)
        with path.open("rb") as file:
            found, _ = self.needles.in_stream(file.read)
        return Searched(hits=hits + found)

    def _of_patient(self, name: str) -> Needles:
        """Those of one patient, kept for the next object, which is most often the same patient's."""
        patient = name.split("/")[1]
        if patient not in self._latest:
            self._latest.clear()
            self._latest[patient] = Needles(self.own.get(patient, ()))
        return self._latest[patient]

    def _read(self, path: Path, name: str) -> Searched:
        if self.reader is None or name not in self.sample:
            return Searched()
        pictures = pictures_of(path)
        return Searched(pictures_read=len(pictures), hits=sum(self.reader(picture) for picture in pictures))


@dataclass(frozen=True)
class Reader:
    """Reads text in a picture and counts the lines that hold an original string. Needs the extra `ocr`."""

    words: tuple[str, ...] = field(repr=False)
    finder: TextFinder = field(default_factory=TextFinder)

    def __call__(self, picture: Picture) -> int:
        """How many lines of the picture identify somebody."""
        return sum(matches(box.text, self.words) for box in self.finder.find(picture))


def reader_of(tokens: Iterable[bytes], *, pixel_policy: str) -> Reader | None:
    """A reader, if one is installed and text in pixels is not to be ignored."""
    if pixel_policy == "ignore" or not is_installed():
        return None
    return Reader(tuple(token.decode("utf-8", "replace") for token in tokens if _can_be_read(token)))


def _can_be_read(token: bytes) -> bool:
    """Long enough not to be read into something else, and no UID, which nobody burns into a picture."""
    return len(token) > READABLE_LEAST and token.count(b".") < 3


def search_outputs(
    searcher: Searcher, names: Sequence[str], *, documents: Iterable[str], own: bytes
) -> Generator[Progress, None, Searched]:
    """Search all files `names` and the text of our own `documents`, in which the words of `own` identify nobody.

    Yields progress by file; the value is the sum of all.
    """
    words = searcher.needles.without(own)
    total = Searched(hits=sum(words.in_text(document.encode()) for document in documents))
    for position, found in enumerate(map(searcher, names), start=1):
        total += found
        yield Progress("verifying", position, len(names))
    return total


def leak(found: Searched) -> IdentifierError:
    """What to say when something was found; the caller has removed the output."""
    return IdentifierError(
        f"verification found original identifiers in {found.hits} places of the output; it was removed",
        hint="report this with the kind of input, without the data; keep the originals",
    )


def evenly(names: Sequence[str], count: int) -> frozenset[str]:
    """A sample of so many names, spread over all of them; the same for the same names."""
    ordered = sorted(names)
    return frozenset(ordered[round(place)] for place in np.linspace(0, len(ordered) - 1, min(count, len(ordered))))


def pictures_of(path: Path) -> tuple[Picture, ...]:
    """What to read text in: a picture itself; of a volume or object of frames the brightest values along each ray.

    Empty where the pixels cannot be decoded here.
    """
    try:
        with reading():
            voxels = _pixels(path)
    except Refused:
        return ()
    if voxels.ndim == 2:
        return (_as_grey(voxels),)
    return (_as_grey(voxels.max(axis=2)), _as_grey(voxels[..., voxels.shape[2] // 2]))


def _pixels(path: Path) -> np.ndarray:
    """Row, column and, if there are several, slice."""
    if path.name.endswith(".gz"):
        import nibabel

        return np.swapaxes(np.asanyarray(nibabel.nifti1.Nifti1Image.from_filename(path).dataobj), 0, 1)
    if path.suffix != ".dcm":
        return read_picture(path)
    if path.stat().st_size > LARGEST_READ:
        raise Refused(Reason.TOO_LARGE)
    frames = [frame.max(axis=-1) if frame.ndim == 3 else frame for frame in frames_of(path)]
    return frames[0] if len(frames) == 1 else np.stack(frames, axis=-1)


def _as_grey(values: np.ndarray) -> Picture:
    low, high = np.percentile(values, (0.5, 99.9))
    spread = max(float(high - low), 1e-9)
    return np.asarray((values.astype(np.float32) - low).clip(0, spread) / spread * 255, dtype=np.uint8)


def _texts(header: pydicom.Dataset) -> Iterator[bytes]:
    """The undecoded value of every attribute that is text, at every depth, file meta included."""
    if hasattr(header, "file_meta"):
        yield from _texts(header.file_meta)
    for tag in header.keys():  # noqa: SIM118 - iterating the data set itself would decode every value
        raw = header.get_item(tag)
        kind = (raw.VR if raw is not None else None) or usual_vr(int(tag))
        if kind == "SQ":
            for item in header[tag].value or ():
                yield from _texts(item)
        elif raw is not None and kind not in BINARY:
            yield raw.value if isinstance(raw.value, bytes) else str(raw.value or "").encode("utf-8", "replace")


def usual_vr(tag: int) -> str:
    """The representation that the data dictionary gives an attribute, UN where it knows none."""
    try:
        return dictionary_VR(tag).split()[0]
    except KeyError:
        return "UN"
