"""A data set under the rules: walked once, written anew in the same encoding, sequences to any (bounded) depth."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydicom.charset import convert_encodings, python_encoding

from dpmed.ingest import limits
from dpmed.ingest.identifiers import PRIVATE, UNKNOWN
from dpmed.ingest.objects.encoding import ITEM, ITEM_END, SEQUENCE_END, UNDEFINED, Malformed
from dpmed.ingest.objects.values import IMPROPER, ITEM_BYTES, REMOVED, TELLING, Values
from dpmed.ingest.objects.walk import Element, Walker
from dpmed.ingest.quiet import reading
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.rules.compile import BULK, ENCAPSULATED_DOCUMENT, Action, Entry, Rules

CHARACTER_SET = 0x00080005
CODE_VALUE, CODING_SCHEME = 0x00080100, 0x00080102
CODED = frozenset({CODE_VALUE, CODING_SCHEME})
LOCAL_CODE = "local codes"
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
NUMERIC = frozenset(ITEM_BYTES)


SEQUENCE_VRS = frozenset({b"SQ", b"UN", b""})
FOREIGN_SCHEME = b"99REMOVED"


CHANNELS, SAMPLES, SAMPLE_BITS, WAVEFORM = 0x003A0005, 0x003A0010, 0x54001004, 0x54001010
PALETTES = {0x00281201: 0x00281101, 0x00281202: 0x00281102, 0x00281203: 0x00281103, 0x00283006: 0x00283002}
"""Look-up tables and the descriptors that say how many entries they have."""
SIZES = frozenset({CHANNELS, SAMPLES, SAMPLE_BITS, *PALETTES.values()})


@dataclass
class Level:
    """One data set in the making: the data set of the file, or of an item. `sizes` say how long its tables may be."""

    written: dict[int, bytes] = field(default_factory=dict)
    creators: dict[int, Mapping[int, str]] = field(default_factory=dict)
    coded: dict[int, bytes] = field(default_factory=dict)
    sizes: dict[int, tuple[int, ...]] = field(default_factory=dict)


class DataSet:
    """Rewrites the elements of one buffer. `values` decides about each value and counts what it removed."""

    def __init__(self, rules: Rules, values: Values) -> None:
        self._rules = rules
        self._values = values
        self._encoding = values.encoding

    def rewrite(self, walker: Walker, position: int, end: int | None, depth: int = 0) -> tuple[dict[int, bytes], int]:
        """The kept elements by tag, encoded, and where reading stopped.

        Reads to `end`, or with None to the delimiter of an item of undefined length. Stops before the pixels.
        """
        if depth > limits.MAX_SEQUENCE_DEPTH:
            raise Refused(Reason.TOO_DEEP)
        level = Level()
        while end is None or position < end:
            element = walker.element(position)
            if element.tag == ITEM_END and end is None:
                position = element.start
                break
            if element.tag in PIXELS and depth == 0:
                break
            if element.tag >> 16 == 0xFFFE:
                raise Malformed
            position = self._element(walker, element, depth, level)
        if level.coded:
            self._write_code(level)
        return level.written, position

    def _element(self, walker: Walker, element: Element, depth: int, level: Level) -> int:
        """Write one element or leave it out; the value is where the next one begins."""
        end = walker.end(element, depth)
        if element.tag >> 16 & 1:
            self._private(walker, element, end, level)
            return end
        entry = self._rules.entries.get(element.tag)
        if entry is None or entry.action is Action.DROP:
            self._dropped(walker, element, entry, end)
        elif entry.vr == "SQ":
            self._sequence(walker, element, entry, end, depth, level)
        elif element.length != UNDEFINED:
            self._value(walker, element, entry, end, level)
        else:
            self._count(IMPROPER, element, end)
        return end

    def _value(self, walker: Walker, element: Element, entry: Entry, end: int, level: Level) -> None:
        tag, raw = element.tag, walker.buffer[element.start : end]
        vr = _written_vr(element.vr.decode("latin-1"), entry.vr)
        if not raw:
            level.written[tag] = self._encoding.element(tag, vr or entry.vr, b"")
        elif not vr:
            self._count(entry.kind or IMPROPER, element, end)
        elif tag == CHARACTER_SET:
            level.written[tag] = self._encoding.element(tag, vr, self._read_charset(raw))
        elif tag in CODED:
            level.coded[tag] = raw
        else:
            value = self._values.treat(entry if vr == entry.vr else replace(entry, vr=vr), raw)
            if tag in SIZES:
                level.sizes[tag] = walker.numbers(raw)
            if value and (tag in PALETTES or tag == WAVEFORM):
                value = value[: _table_bytes(tag, len(value), level.sizes)]
            if value is not None:
                level.written[tag] = self._encoding.element(tag, vr, value)

    def _private(self, walker: Walker, element: Element, end: int, level: Level) -> None:
        """A safe private attribute stays under its creator; all others go."""
        group, low = element.tag >> 16, element.tag & 0xFFFF
        if element.length != UNDEFINED and 0x10 <= low <= 0xFF:
            name = walker.buffer[element.start : end]
            known = self._rules.private.get(name.decode("latin-1").strip(" \0"))
            if known:
                level.creators[group << 8 | low] = known
                level.written[element.tag] = self._encoding.element(element.tag, "LO", name)
                return
        vr = level.creators.get(group << 8 | low >> 8, {}).get(group << 8 | low & 0xFF)
        if vr and element.length != UNDEFINED:
            self._value(walker, element, Entry(Action.KEEP, vr, PRIVATE), end, level)
        else:
            self._count(PRIVATE, element, end)

    def _sequence(self, walker: Walker, element: Element, entry: Entry, end: int, depth: int, level: Level) -> None:
        """A sequence that the rules descend into; of one that they empty the header stays."""
        inner = walker.nested(element)
        if element.vr not in SEQUENCE_VRS or inner.encoding.endian != self._encoding.endian:
            self._count(IMPROPER, element, end)
            return
        content = b""
        if entry.action is Action.DESCEND:
            content = self._items(inner, element, end, depth)
        else:
            self._count(entry.kind, element, end)
        level.written[element.tag] = self._encoding.header(element.tag, "SQ", len(content)) + content

    def _items(self, walker: Walker, element: Element, end: int, depth: int) -> bytes:
        items: list[bytes] = []
        position, charset = element.start, self._values.charset
        while position < end:
            tag, length = walker.item(position)
            position += 8
            if tag == SEQUENCE_END:
                break
            inside = None if length == UNDEFINED else position + length
            if tag != ITEM or (inside is not None and inside > end):
                raise Malformed
            kept, position = self.rewrite(walker, position, inside, depth + 1)
            items.append(self._encoding.item(b"".join(kept[tag] for tag in sorted(kept))))
            self._values.charset = charset
        return b"".join(items)

    def _write_code(self, level: Level) -> None:
        """A code stays if a public scheme defines it; a local one becomes a code that says nothing."""
        scheme = level.coded.get(CODING_SCHEME, b"").strip(b" \0")
        value = level.coded.get(CODE_VALUE, b"").strip(b" \0")
        if not self._values.is_code(scheme, value):
            self._values.removed[LOCAL_CODE] += 1
            scheme, value = FOREIGN_SCHEME, REMOVED
        for tag, content in ((CODE_VALUE, value), (CODING_SCHEME, scheme)):
            level.written[tag] = self._encoding.element(tag, "SH", content)

    def _read_charset(self, raw: bytes) -> bytes:
        """The character sets of this data set, as far as DICOM defines them; what follows is read by them."""
        names = [part.strip() for part in raw.decode("latin-1").strip(" \0").split("\\")]
        names = [name if name in python_encoding else "" for name in names]
        with reading():
            self._values.charset = convert_encodings(names)
        return "\\".join(names).encode()

    def _dropped(self, walker: Walker, element: Element, entry: Entry | None, end: int) -> None:
        if element.tag == ENCAPSULATED_DOCUMENT and end > element.start:
            raise Refused(Reason.DOCUMENT)
        self._count(entry.kind if entry and entry.kind else UNKNOWN, element, end)
        if entry and entry.kind in TELLING and entry.vr != "SQ" and element.length != UNDEFINED:
            self._values.harvest(walker.buffer[element.start : end], entry.kind)

    def _count(self, kind: str, element: Element, end: int) -> None:
        if end > element.start:
            self._values.removed[kind] += 1


def _table_bytes(tag: int, length: int, sizes: Mapping[int, tuple[int, ...]]) -> int:
    """How much of a palette or waveform its own header accounts for (PS3.3 C.7.6.3.1, C.10.9)."""
    if tag == WAVEFORM:
        channels, samples, bits = (sizes.get(name, (0,))[0] for name in (CHANNELS, SAMPLES, SAMPLE_BITS))
        size = channels * samples * bits // 8
        return size + size % 2
    descriptor = sizes.get(PALETTES[tag], (0,))
    entries = descriptor[0] or 2**16
    # Entries of 8 bits are found in 8 bits and in 16.
    is_wide = descriptor[-1] > 8 or length >= 2 * entries
    return entries * (2 if is_wide else 1) if len(descriptor) == 3 else 0


def _written_vr(vr: str, wanted: str) -> str:
    """Which representation to write, or nothing where the file's and the dictionary's cannot be reconciled."""
    if vr in {"", "UN", wanted}:
        return wanted
    if vr in NUMERIC and wanted in NUMERIC:
        return vr
    if vr in BULK and wanted in BULK:
        return vr
    if wanted == "US" and vr == "OW":
        return vr  # tables that the dictionary knows as either
    return "" if {vr, wanted} & (NUMERIC | BULK | {"SQ"}) else wanted
