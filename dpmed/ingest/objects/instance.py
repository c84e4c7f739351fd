"""One DICOM file through the rules: opened, walked, and written under its new name, or refused with a reason."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from pydicom._uid_dict import UID_dictionary

from dpmed.ingest.identifiers import EMBEDDED
from dpmed.ingest.objects.dataset import PIXELS, DataSet
from dpmed.ingest.objects.encoding import Encoding, Malformed
from dpmed.ingest.objects.marks import Done, Marks, file_meta
from dpmed.ingest.objects.opened import Opened, opened, rewritten
from dpmed.ingest.objects.pixels import PixelFacts, PixelSpan, copy_pixels
from dpmed.ingest.objects.values import MAKERS_CLASS, Person, Values
from dpmed.ingest.objects.walk import Element, Short, Walker
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.rules.compile import Rules
from dpmed.ingest.rules.text import Cleaner

SOP_CLASS, SOP_INSTANCE = 0x00080016, 0x00080018
SEX, AGE, MANUFACTURER, STUDY_DATE = 0x00100040, 0x00101010, 0x00080070, 0x00080020
MODALITY = 0x00080060
AUDIO = frozenset({"1.2.840.10008.5.1.4.1.1.9.4.1", "1.2.840.10008.5.1.4.1.1.9.4.2", "1.2.840.10008.10.3"})
"""Waveforms that are sound: dictations and the like (PS3.4 B.5)."""
SHORT_HEADER = 8
"""Bytes before the value of every attribute that is looked at here, in any encoding."""


@dataclass(frozen=True)
class Scrubbed:
    """What was written of one file. `traits` are what is left that could single somebody out."""

    sha256: str
    sop_class: str
    instance: str
    removed: Counter[str]
    traits: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Scrubber:
    """Everything the files of one ingest share. Cheap to keep in a worker process."""

    rules: Rules
    cleaner: Cleaner
    remap: Callable[[str], str]
    _banned: Set[str] = field(default_factory=frozenset, repr=False)

    def __post_init__(self) -> None:
        self._marks: dict[tuple[Encoding, Set[Done]], dict[int, bytes]] = {}

    def scrub(self, source: Path, target: Path, person: Person, *, done: Set[Done] = frozenset()) -> Scrubbed:
        """Write `source` without its identifiers to `target`, aside and renamed; `target` says nothing about it.

        Raises `Refused`. `done` is what its header may say of its pixels.
        """
        with opened(source) as file:
            try:
                return self._write(file, target, person, done)
            except Malformed:
                pass
        try:
            return self._write(rewritten(source), target, person, done)
        except Malformed:
            raise Refused(Reason.UNREADABLE) from None

    def _write(self, file: Opened, target: Path, person: Person, done: Set[Done]) -> Scrubbed:
        written, position, values = self._header(file, person)
        sop_class, instance = self._identity(file, written)
        span = _pixels(file, position)
        written |= self._own(file.encoding, done)
        header = b"".join(written[tag] for tag in sorted(written))
        with Aside(target) as stream:
            stream.write(file_meta(sop_class, instance, file.meta.syntax))
            stream.write(header)
            if span is not None:
                copy_pixels(file.stream, stream, span, _facts(written, file.encoding), file.encoding, file.meta.syntax)
        values.removed[EMBEDDED] += file.meta.has_preamble
        return Scrubbed(stream.sha256(), sop_class, instance, +values.removed, _traits(written))

    def _header(self, file: Opened, person: Person) -> tuple[dict[int, bytes], int, Values]:
        """Walk up to the pixels. Names that are words of imaging are known only after a walk, so it may take two."""
        banned = self._banned
        while True:
            values = Values(self.rules, self.cleaner, person, self.remap, file.encoding, banned)
            try:
                walker = Walker(file.buffer, file.encoding)
                written, position = DataSet(self.rules, values).rewrite(walker, file.start, file.size)
            except Short:
                file.grow()
                continue
            if values.harvested == banned:
                return written, position, values
            # The next file of the same series names the same people: one walk is enough for it.
            self._banned = banned = frozenset(values.harvested)

    def _identity(self, file: Opened, written: dict[int, bytes]) -> tuple[str, str]:
        """Kind and new UID of the object; what its data set lacks, the file meta may say."""
        sop_class, instance = _text(written, SOP_CLASS), _text(written, SOP_INSTANCE)
        if not sop_class:
            sop_class = file.meta.sop_class
            written[SOP_CLASS] = file.encoding.element(SOP_CLASS, "UI", sop_class.encode())
        if sop_class not in UID_dictionary and not MAKERS_CLASS.fullmatch(sop_class.encode()):
            raise Refused(Reason.NO_CLASS)
        if sop_class in AUDIO or _text(written, MODALITY) == "AU":
            raise Refused(Reason.AUDIO)
        if not instance:
            instance = self.remap(file.meta.instance or hashlib.sha256(file.buffer).hexdigest())
            written[SOP_INSTANCE] = file.encoding.element(SOP_INSTANCE, "UI", instance.encode())
        return sop_class, instance

    def _own(self, encoding: Encoding, done: Set[Done]) -> dict[int, bytes]:
        if (encoding, done) not in self._marks:
            self._marks[encoding, done] = Marks(self.rules.profile).elements(encoding, done)
        return self._marks[encoding, done]


def _pixels(file: Opened, position: int) -> PixelSpan | None:
    """Where the pixels lie, if the data set has any."""
    while True:
        if position >= file.size:
            return None
        try:
            element: Element = Walker(file.buffer, file.encoding).element(position)
        except Short:
            file.grow()
            continue
        if element.tag not in PIXELS:
            return None
        vr = element.vr.decode("latin-1") or "OW"
        return PixelSpan(element.tag, vr, element.start, element.length)


def _facts(written: Mapping[int, bytes], encoding: Encoding) -> PixelFacts:
    def number(tag: int, default: int) -> int:
        raw = written.get(tag, b"")[SHORT_HEADER : SHORT_HEADER + 2]
        return int.from_bytes(raw, "little" if encoding.endian == "<" else "big") if len(raw) == 2 else default

    rows, columns, bits = number(0x00280010, 0), number(0x00280011, 0), number(0x00280100, 0)
    frames = _text(written, 0x00280008) or "1"
    if not rows or not columns or not bits or not frames.isdigit():
        raise Refused(Reason.NOT_AN_IMAGE)
    return PixelFacts(
        rows=rows,
        columns=columns,
        frames=max(int(frames), 1),
        samples=number(0x00280002, 1),
        bits_allocated=bits,
        bits_stored=number(0x00280101, bits),
        signed=number(0x00280103, 0) == 1,
        photometric=_text(written, 0x00280004),
    )


def _text(written: Mapping[int, bytes], tag: int) -> str:
    return written.get(tag, b"")[SHORT_HEADER:].decode("latin-1").strip(" \0")


def _traits(written: Mapping[int, bytes]) -> dict[str, str]:
    named = {"sex": SEX, "age": AGE, "manufacturer": MANUFACTURER, "study_date": STUDY_DATE}
    return {name: text for name, tag in named.items() if (text := _text(written, tag))}


class Aside:
    """A file of this user's alone, written beside its place and renamed when whole. Flushed by the batch, not here."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target.with_name(f".tmp-{target.name}")
        self._digest = hashlib.sha256()

    def write(self, content: bytes) -> None:
        """Write and digest."""
        self._stream.write(content)
        self._digest.update(content)

    def sha256(self) -> str:
        """Of everything written, in hexadecimal."""
        return self._digest.hexdigest()

    def __enter__(self) -> "Aside":
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        self._stream = os.fdopen(handle, "wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stream.close()
        if kind is None:
            os.chmod(self._path, 0o644)
            os.replace(self._path, self._target)
        else:
            self._path.unlink(missing_ok=True)
