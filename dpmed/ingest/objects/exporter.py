"""One batch, alone: each object through the rules and into the dataset under its new name."""

import os
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import Field

from dpmed.core.files import sha256_of
from dpmed.core.record import Record
from dpmed.ingest.objects.batches import Batch, Paint
from dpmed.ingest.objects.instance import Scrubbed, Scrubber
from dpmed.ingest.objects.marks import Done
from dpmed.ingest.objects.values import Person, remapper
from dpmed.ingest.pixels.inspect import Outcome
from dpmed.ingest.pixels.redact import redact_file
from dpmed.ingest.pseudonyms import Uids
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.rules.compile import rules_for
from dpmed.ingest.rules.profile import Profile
from dpmed.ingest.rules.table import terms, vocabulary
from dpmed.ingest.rules.text import Cleaner


class Written(Record):
    """What became of a batch: names and digests of its objects, or why one was held back. No original name."""

    case: str
    patient: str
    folder: str
    modality: str
    sha256: dict[str, str] = Field(default_factory=dict)
    held: dict[int, Reason] = Field(default_factory=dict)
    removed: dict[str, int] = Field(default_factory=dict)
    traits: dict[str, str] = Field(default_factory=dict)


@dataclass
class Exporter:
    """Where to write and under which rules. A plain value, so that any process can do the work."""

    out: Path
    profile: Profile
    uid_key: bytes

    def __call__(self, batch: Batch) -> Written:
        """Write the objects of `batch`; one that is refused leaves no file. Flushing is the caller's."""
        folder = self.out / batch.folder
        folder.mkdir(parents=True, exist_ok=True)
        sha256: dict[str, str] = {}
        held: dict[int, Reason] = {}
        removed: Counter[str] = Counter()
        traits: dict[str, str] = {}
        for (source, name), paint in zip(batch.objects, batch.paint, strict=True):
            try:
                scrubbed, digest = self._write(source.path, folder / name, batch.person, paint)
            except Refused as refused:
                held[source.ordinal] = refused.reason
                continue
            sha256[f"{batch.folder}/{name}"] = digest
            removed += scrubbed.removed
            traits |= scrubbed.traits
        return Written(
            case=batch.case,
            patient=batch.patient,
            folder=batch.folder,
            modality=batch.modality,
            sha256=sha256,
            held=held,
            removed=dict(removed),
            traits=traits,
        )

    def _write(self, source: Path, target: Path, person: Person, paint: Paint) -> tuple[Scrubbed, str]:
        boxes = paint.boxes
        done = _done(paint)
        if not boxes:
            scrubbed = self._scrubber.scrub(source, target, person, done=done)
            return scrubbed, scrubbed.sha256
        # Under its own name an object stands only when it is painted: a stop in between may not leave the text.
        aside = target.with_name(f".tmp-painted-{target.name}")
        try:
            scrubbed = self._scrubber.scrub(source, aside, person, done=done)
            redact_file(aside, boxes)
            os.replace(aside, target)
        finally:
            aside.unlink(missing_ok=True)
        return scrubbed, sha256_of(target)

    @cached_property
    def _scrubber(self) -> Scrubber:
        return scrubber(self.profile, self.uid_key)


def _done(paint: Paint) -> frozenset[Done]:
    found = {
        Done.NO_TEXT: paint.text.outcome in {Outcome.CLEAN, Outcome.PAINTED},
        Done.TEXT_PAINTED: bool(paint.text.boxes),
        Done.NO_FACE: paint.is_defaced or bool(paint.face),
    }
    return frozenset(name for name, is_so in found.items() if is_so)


def scrubber(profile: Profile, uid_key: bytes) -> Scrubber:
    """The rules, words and UIDs of one profile and key."""
    words = vocabulary() | set(profile.vocabulary)
    return Scrubber(rules_for(profile), Cleaner(words, terms()), remapper(Uids(uid_key)))
