"""What dpmed itself writes into an object: the file meta, and what was done to it (PS3.15 E.1.1, PS3.3 C.12.1)."""

from collections.abc import Set
from dataclasses import dataclass
from enum import Enum

from dpmed import __version__
from dpmed.ingest.objects.encoding import EXPLICIT_LITTLE, Encoding
from dpmed.ingest.rules.profile import Profile, method_codes

IMPLEMENTATION_CLASS = "2.25.222906669006511664466681196376411896833"
"""Of dpmed; drawn at random once (PS3.5 B.2)."""
PATIENT_IDENTITY_REMOVED, METHOD, METHOD_CODES = 0x00120062, 0x00120063, 0x00120064
BURNED_IN, VISUAL_FEATURES, DATES_MODIFIED = 0x00280301, 0x00280302, 0x00280303
CODE_VALUE, SCHEME, MEANING = 0x00080100, 0x00080102, 0x00080104


class Done(Enum):
    """What was done to the pixels of an object, or is known of them."""

    NO_TEXT = "looked at: no text is in them, or no longer"
    TEXT_PAINTED = "text painted over"
    NO_FACE = "a face cleaned, now or before"


PIXEL_CODES = {
    Done.TEXT_PAINTED: ("113101", "Clean Pixel Data Option"),
    Done.NO_FACE: ("113102", "Clean Recognizable Visual Features Option"),
}
"""PS3.16, CID 7050."""


@dataclass(frozen=True)
class Marks:
    """The statements about de-identification that every object of one profile carries."""

    profile: Profile

    def elements(self, encoding: Encoding, done: Set[Done] = frozenset()) -> dict[int, bytes]:
        """Encoded, by tag."""
        codes = b"".join(
            encoding.item(
                encoding.element(CODE_VALUE, "SH", value.encode())
                + encoding.element(SCHEME, "SH", b"DCM")
                + encoding.element(MEANING, "LO", meaning.encode())
            )
            for value, meaning in (
                *method_codes(self.profile),
                *(PIXEL_CODES[one] for one in PIXEL_CODES if one in done),
            )
        )
        method = f"dpmed {__version__}, profile {self.profile.name}"[:64]
        written = {
            PATIENT_IDENTITY_REMOVED: encoding.element(PATIENT_IDENTITY_REMOVED, "CS", b"YES"),
            METHOD: encoding.element(METHOD, "LO", method.encode()),
            METHOD_CODES: encoding.header(METHOD_CODES, "SQ", len(codes)) + codes,
            DATES_MODIFIED: encoding.element(DATES_MODIFIED, "CS", self._dates().encode()),
        }
        if Done.NO_TEXT in done:
            written[BURNED_IN] = encoding.element(BURNED_IN, "CS", b"NO")
        if Done.NO_FACE in done:
            written[VISUAL_FEATURES] = encoding.element(VISUAL_FEATURES, "CS", b"NO")
        return written

    def _dates(self) -> str:
        if "retain-full-dates" in self.profile.options:
            return "UNMODIFIED"
        return "MODIFIED" if "retain-modified-dates" in self.profile.options else "REMOVED"


def file_meta(sop_class: str, instance: str, syntax: str) -> bytes:
    """An empty preamble and a file meta of our own (PS3.10 7.1): nothing of the sender's."""
    content = b"".join(
        (
            EXPLICIT_LITTLE.element(0x00020001, "OB", b"\0\1"),
            EXPLICIT_LITTLE.element(0x00020002, "UI", sop_class.encode()),
            EXPLICIT_LITTLE.element(0x00020003, "UI", instance.encode()),
            EXPLICIT_LITTLE.element(0x00020010, "UI", syntax.encode()),
            EXPLICIT_LITTLE.element(0x00020012, "UI", IMPLEMENTATION_CLASS.encode()),
            EXPLICIT_LITTLE.element(0x00020013, "SH", f"DPMED_{__version__}"[:16].encode()),
        )
    )
    length = EXPLICIT_LITTLE.element(0x00020000, "UL", len(content).to_bytes(4, "little"))
    return bytes(128) + b"DICM" + length + content
