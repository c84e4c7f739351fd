"""What an input is, told from its bytes: DICOM, NIfTI in one of three layouts, or image slices."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from dpmed.core.errors import ConfigError, NoInputError
from dpmed.ingest import limits
from dpmed.ingest.opened import HEAD, MAGIC, PREAMBLE, looks_like_dataset
from dpmed.ingest.reasons import Reason
from dpmed.ingest.sources import Source

PICTURE_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*")
NIFTI_NAME = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
DICOM_NAME = re.compile(r"\.(dcm|dicom|ima)$", re.IGNORECASE)
BRATS_NAME = re.compile(
    r"^(?P<case>.+)[_-](?P<sequence>t1|t1n|t1ce|t1gd|t1c|t2|t2w|flair|t2f|seg)\.nii(\.gz)?$", re.IGNORECASE
)
MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
MARK = slice(PREAMBLE, PREAMBLE + len(MAGIC))


class Kind(StrEnum):
    """The layouts that `ingest` accepts."""

    DICOM = "DICOM"
    BRATS = "NIfTI, BraTS folders"
    DECATHLON = "NIfTI, Decathlon layout"
    NIFTI = "NIfTI with a CSV"
    PICTURES = "image slices"


class FileKind(StrEnum):
    """What one file is."""

    DICOM = "dicom"
    FALSE_DICOM = "false dicom"
    NIFTI = "nifti"
    PICTURE = "picture"
    CLOSED = "closed"
    OTHER = "other"


REFUSED = {FileKind.FALSE_DICOM: Reason.NOT_DICOM, FileKind.CLOSED: Reason.CLOSED}


@dataclass(frozen=True)
class Detected:
    """The layout, the files that belong to it, those that cannot be used, and how many are none of its business."""

    kind: Kind
    files: tuple[Source, ...]
    refused: dict[Source, Reason]
    ignored: int


def detect(sources: Sequence[Source]) -> Detected:
    """Decide the layout of an input. DICOM beside NIfTI is refused, since either could be the one that is meant."""
    kinds = {source.ordinal: file_kind(source) for source in sources}
    counts = Counter(kinds.values())
    if counts[FileKind.DICOM] and counts[FileKind.NIFTI]:
        raise ConfigError(
            f"the source holds both DICOM ({counts[FileKind.DICOM]} files) and NIfTI ({counts[FileKind.NIFTI]})",
            hint="ingest them one at a time: give the folder of one kind",
        )
    wanted = next((kind for kind in (FileKind.DICOM, FileKind.NIFTI, FileKind.PICTURE) if counts[kind]), None)
    if wanted is None:
        raise NoInputError(_nothing(len(sources), counts), hint="see docs/cli.md for what dpmed ingest accepts")
    files = tuple(source for source in sources if kinds[source.ordinal] is wanted)
    refused = {source: REFUSED[kinds[source.ordinal]] for source in sources if kinds[source.ordinal] in REFUSED}
    layout = {FileKind.DICOM: Kind.DICOM, FileKind.PICTURE: Kind.PICTURES}.get(wanted) or _nifti_layout(sources, files)
    return Detected(layout, files, refused, ignored=len(sources) - len(files) - len(refused))


def file_kind(source: Source) -> FileKind:
    """One file's kind from its first bytes; the name decides only for NIfTI, whose gzip form has no magic outside."""
    try:
        with source.path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return FileKind.CLOSED
    if head[MARK] == MAGIC:
        return FileKind.DICOM
    name = PurePosixPath(source.name).name
    if name.startswith("._"):  # what macOS leaves beside a file: its name, not its content
        return FileKind.OTHER
    if NIFTI_NAME.search(name):
        return FileKind.NIFTI
    if head.startswith(PICTURE_MAGIC):
        return FileKind.PICTURE
    if looks_like_dataset(head):
        return FileKind.DICOM
    return FileKind.FALSE_DICOM if DICOM_NAME.search(name) else FileKind.OTHER


def _nothing(files: int, counts: Counter[FileKind]) -> str:
    if counts[FileKind.FALSE_DICOM]:
        return f"no usable image: {counts[FileKind.FALSE_DICOM]} files are named like DICOM but are not DICOM"
    return f"no image among the {files} files of the source"


def _nifti_layout(sources: Sequence[Source], files: Sequence[Source]) -> Kind:
    if decathlon_root(sources) is not None:
        return Kind.DECATHLON
    paths = [PurePosixPath(file.name) for file in files]
    matches = [(path, match) for path in paths if (match := BRATS_NAME.match(path.name))]
    in_own_folder = any(path.parent.name == match["case"] for path, match in matches)
    return Kind.BRATS if in_own_folder or 2 * len(matches) > len(files) else Kind.NIFTI


def decathlon_root(sources: Sequence[Source]) -> str | None:
    """The folder of a `dataset.json` with `imagesTr` beside it, as a prefix of names, or None."""
    for source in sources:
        if PurePosixPath(source.name).name != "dataset.json" or not _is_object(source):
            continue
        prefix = source.name.removesuffix("dataset.json")
        if any(other.name.startswith(f"{prefix}imagesTr/") for other in sources):
            return prefix
    return None


def _is_object(source: Source) -> bool:
    if source.path.stat().st_size > limits.MAX_JSON_BYTES:
        return False
    try:
        return isinstance(json.loads(source.path.read_bytes()), dict)
    except (ValueError, RecursionError):
        return False
