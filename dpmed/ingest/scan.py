"""The first look at every file: what identifies a person in it, and for DICOM what sorting needs."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from dpmed.ingest.detect import Kind
from dpmed.ingest.dicom import SliceHeader, scan_dicom
from dpmed.ingest.identifiers import FILE_NAMES
from dpmed.ingest.nifti import scan_nifti
from dpmed.ingest.opened import is_index
from dpmed.ingest.pictures import scan_picture
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.segments import Segments
from dpmed.ingest.sources import Source

MIN_NAME_TOKEN = 5


@dataclass(frozen=True)
class Scan:
    """What one file gave. `tokens` are original strings for --verify and stay in memory."""

    source: Source
    removed: Counter[str]
    slices: tuple[SliceHeader, ...] = ()
    segments: Segments | None = None
    reason: Reason | None = None
    is_index: bool = False
    tokens: frozenset[bytes] = field(default=frozenset(), repr=False)


@dataclass(frozen=True)
class Scanner:
    """How to look; a plain value, so that any process can do it."""

    kind: Kind
    harvest: bool
    masks: bool = False
    """Whether DICOM segmentations are wanted."""

    def __call__(self, source: Source) -> Scan:
        """Look at one file. Never raises for what is in it."""
        slices: tuple[SliceHeader, ...] = ()
        segments, reason = None, None
        if self.kind is Kind.DICOM:
            if _is_index(source):
                return Scan(source, Counter(), is_index=True)
            outcome, found = scan_dicom(source.path, harvest=self.harvest, masks=self.masks)
            slices = outcome if isinstance(outcome, tuple) else ()
            segments = outcome if isinstance(outcome, Segments) else None
            reason = outcome if isinstance(outcome, Reason) else None
        elif self.kind is Kind.PICTURES:
            found = scan_picture(source.path, harvest=self.harvest)
        else:
            found = scan_nifti(source.path, harvest=self.harvest)
        tokens = found.tokens | (_name_tokens(source.name) if self.harvest else set())
        removed = found.removed + Counter({FILE_NAMES: 1})
        return Scan(source, removed, slices, segments, reason, tokens=frozenset(tokens))


def _is_index(source: Source) -> bool:
    try:
        return is_index(source.path)
    except Refused:
        return False


def _name_tokens(name: str) -> set[bytes]:
    """Folder and file names without their suffixes, where they are long enough to mean someone."""
    parts = [part.split(".")[0] for part in PurePosixPath(name).parts]
    return {part.encode("utf-8", "surrogateescape") for part in parts if len(part) >= MIN_NAME_TOKEN}
