"""The first look at a DICOM file that is to stay DICOM: whose it is and where it belongs."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.valuerep import PN_DELIMS

from dpmed.ingest.detect import MEDIA_DIRECTORY
from dpmed.ingest.objects.encoding import UNDEFINED, Malformed
from dpmed.ingest.objects.opened import Opened, opened, rewritten
from dpmed.ingest.objects.walk import Short, Walker
from dpmed.ingest.pseudonyms import SEPARATOR
from dpmed.ingest.quiet import reading
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.rules.table import terms

WANTED = {
    0x00080005: "charset",
    0x00080008: "image_type",
    0x00080016: "sop_class",
    0x00080018: "instance",
    0x00080060: "modality",
    0x00100020: "patient",
    0x00100021: "issuer",
    0x0020000D: "study",
    0x0020000E: "series",
    0x00200032: "position",
    0x00280010: "rows",
    0x00280301: "burned_in",
}
CODE = re.compile(r"[A-Z0-9]{2,16}")
METHODS, FACES_CLEANED = 0x00120064, b"113102"
LAST = max(WANTED)
DIRECTORY_GROUP = 0x0004
AXES = 3


@dataclass(frozen=True)
class Facts:
    """Original identities and UIDs of one object; stays in memory."""

    values: Mapping[str, str] = field(repr=False)

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    @property
    def is_index(self) -> bool:
        """A DICOMDIR: it lists other files and is none itself."""
        return self["sop_class"] == MEDIA_DIRECTORY

    @property
    def has_pixels(self) -> bool:
        """Whether it is a picture."""
        return bool(self["rows"])

    @property
    def modality(self) -> str:
        """A modality that the standard knows, else nothing: what else stands there could be anybody's name."""
        code = self["modality"].upper()
        return code if code in terms() and CODE.fullmatch(code) else ""

    @property
    def is_defaced(self) -> bool:
        """Whether it says that its visual features have been cleaned (PS3.15 E.3.2)."""
        return bool(self["defaced"])

    @property
    def position(self) -> tuple[float, ...]:
        """Image Position (Patient) in millimetres; empty where there is none."""
        try:
            place = tuple(float(number) for number in self["position"].split("\\"))
        except ValueError:
            return ()
        return place if len(place) == AXES and all(map(math.isfinite, place)) else ()

    @property
    def identity(self) -> str:
        """The original patient: PatientID with its issuer; without one, each study is a patient of its own."""
        if self["patient"]:
            issuer = self["issuer"]
            return f"{issuer}{SEPARATOR}{self['patient']}" if issuer else self["patient"]
        return SEPARATOR.join(("study", self["study"] or self["series"] or self["instance"]))


def look_at(paths: Sequence[Path]) -> list[Facts | Reason]:
    """Look at some files: one is too little to send to a process."""
    return [look(path) for path in paths]


def look(path: Path) -> Facts | Reason:
    """What a file says it is. Never raises for what is in it."""
    try:
        with opened(path) as file:
            try:
                return _read(file)
            except Malformed:
                pass
        return _read(rewritten(path))
    except Refused as refused:
        return refused.reason
    except (Malformed, OSError):
        return Reason.UNREADABLE


def _read(file: Opened) -> Facts:
    while True:
        try:
            return Facts(_decoded(_values(file)))
        except Short:
            file.grow()


def _values(file: Opened) -> dict[str, bytes]:
    walker, position = Walker(file.buffer, file.encoding), file.start
    found: dict[str, bytes] = {}
    while position < file.size:
        element = walker.element(position)
        if element.tag >> 16 == DIRECTORY_GROUP:
            return {"sop_class": MEDIA_DIRECTORY.encode()}
        if element.tag > LAST:
            break
        end = walker.end(element, 0)
        if element.tag == METHODS and FACES_CLEANED in walker.buffer[element.start : end]:
            found["defaced"] = b"YES"
        if element.tag in WANTED and element.length != UNDEFINED:
            found[WANTED[element.tag]] = walker.buffer[element.start : end]
        position = end
    return found


def _decoded(found: Mapping[str, bytes]) -> dict[str, str]:
    """The patient's number may be in any character set; UIDs are ASCII."""
    charset = found.get("charset", b"").decode("latin-1").strip(" \0").split("\\")
    with reading():
        encodings = convert_encodings(charset)
        return {
            name: raw.decode("ascii") if raw.isascii() else decode_bytes(raw, encodings, PN_DELIMS)
            for name, raw in ((name, raw.strip(b" \0")) for name, raw in found.items())
        }
