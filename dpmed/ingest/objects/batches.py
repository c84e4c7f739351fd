"""Which objects are written together, and under which names: by patient, study and series, never by the input's."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from dpmed.core.files import sha256_of
from dpmed.ingest.objects.facts import Facts
from dpmed.ingest.objects.values import Person
from dpmed.ingest.pixels.inspect import Frames, Verdict
from dpmed.ingest.pixels.text import Box
from dpmed.ingest.pseudonyms import SEPARATOR, Pseudonyms
from dpmed.ingest.sources import Source

MOST_FILES = 64
"""In a batch: few enough to share a series among workers, enough to flush the disk rarely."""


@dataclass(frozen=True)
class Paint:
    """What is to be done to the pixels of one object, and what its header may then say of them."""

    text: Verdict
    face: Frames = ()
    is_defaced: bool = False

    @property
    def boxes(self) -> dict[int, tuple[Box, ...]]:
        """All boxes, by frame."""
        both: dict[int, tuple[Box, ...]] = dict(self.text.boxes)
        for frame, boxes in self.face:
            both[frame] = (*both.get(frame, ()), *boxes)
        return both


@dataclass(frozen=True)
class Batch:
    """Objects of one series of one patient, each with the path it will have in the dataset."""

    case: str
    patient: str
    folder: str
    modality: str
    person: Person = field(repr=False)
    objects: tuple[tuple[Source, str], ...] = field(repr=False)
    paint: tuple[Paint, ...] = field(repr=False)

    @property
    def files(self) -> tuple[Source, ...]:
        """The input files, in order."""
        return tuple(source for source, _ in self.objects)


def without_copies(facts: Mapping[Source, Facts]) -> tuple[dict[Source, Facts], int]:
    """The same object twice, to the byte, is one; how many copies were dropped."""
    by_instance: dict[str, list[Source]] = defaultdict(list)
    for source, fact in facts.items():
        by_instance[fact["instance"]].append(source)
    kept: set[Source] = set()
    for sources in by_instance.values():
        if len(sources) == 1:
            kept.update(sources)
        else:
            kept.update({sha256_of(source.path): source for source in reversed(sources)}.values())
    return {source: fact for source, fact in facts.items() if source in kept}, len(facts) - len(kept)


def series_of(facts: Mapping[Source, Facts]) -> dict[tuple[str, str, str], list[Source]]:
    """Objects by patient, study and series."""
    by_series: dict[tuple[str, str, str], list[Source]] = defaultdict(list)
    for source, fact in facts.items():
        by_series[fact.identity, fact["study"], fact["series"]].append(source)
    return by_series


def batches(facts: Mapping[Source, Facts], paint: Mapping[Source, Paint], pseudonyms: Pseudonyms) -> tuple[Batch, ...]:
    """Every object in a batch of its series, in an order that says nothing about the input."""
    made = []
    for (identity, study, series), sources in series_of(facts).items():
        patient = pseudonyms.patient(identity)
        folder = "/".join(
            (
                "images",
                patient,
                pseudonyms.place("study", study),
                pseudonyms.place("series", f"{study}{SEPARATOR}{series}"),
            )
        )
        named = sorted(_named(sources, facts, pseudonyms), key=lambda pair: pair[1])
        for start in range(0, len(named), MOST_FILES):
            made.append(
                Batch(
                    case=pseudonyms.case(identity, f"{study}{SEPARATOR}{series}"),
                    patient=patient,
                    folder=folder,
                    modality=facts[sources[0]].modality,
                    person=_person(identity, pseudonyms),
                    objects=(objects := tuple(named[start : start + MOST_FILES])),
                    paint=tuple(paint[source] for source, _ in objects),
                )
            )
    return tuple(sorted(made, key=lambda batch: (batch.folder, batch.objects[0][1])))


def _named(sources: list[Source], facts: Mapping[Source, Facts], pseudonyms: Pseudonyms) -> list[tuple[Source, str]]:
    """File names from the instance; different objects that claim one instance get different names."""
    named, taken = [], set()
    for source in sources:
        instance = facts[source]["instance"]
        name = pseudonyms.place("instance", instance)
        if not instance or name in taken:
            name = pseudonyms.place("instance", f"{instance}{SEPARATOR}{source.name}")
        taken.add(name)
        named.append((source, f"{name}.dcm"))
    return named


def _person(identity: str, pseudonyms: Pseudonyms) -> Person:
    return Person(pseudonyms.patient(identity), pseudonyms.shift_days(identity), pseudonyms.shift_seconds(identity))
