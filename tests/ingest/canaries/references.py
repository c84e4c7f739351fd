"""Whether the outputs still name each other, and whether time still runs as it did."""

import datetime
from collections import defaultdict
from collections.abc import Iterator

from .pairing import OWN, Pair, mapping
from .planting import Canaries, as_date

KEPT = (
    "ReferencedFrameOfReferenceSequence",
    "StructureSetROISequence",
    "ROIContourSequence",
    "ReferencedSeriesSequence",
    "ReferencedRTPlanSequence",
    "ReferencedStructureSetSequence",
    "CurrentRequestedProcedureEvidenceSequence",
    "ContentSequence",
    "GraphicAnnotationSequence",
    "PerFrameFunctionalGroupsSequence",
)
"""Without these a derived object has lost what it was derived from."""


def reference_places(pair: Pair, known: frozenset[str]) -> list[str]:
    """Where an object names studies, series, objects or frames of reference of the set."""
    return [
        place
        for place, value in pair.before.values.items()
        if value in known and (place in OWN or place.split("[")[0] in KEPT)
    ]


def unresolved(pairs: list[Pair], canaries: Canaries) -> list[str]:
    """References that name nothing that was written although their target was, and references that are gone."""
    uids = mapping(pairs)
    written = {pair.after.values["SOPInstanceUID"] for pair in pairs if pair.after is not None}
    objects = {one.sop_uid for one in canaries.instances}
    failures = []
    for pair in pairs:
        if pair.after is None:
            continue
        for place in reference_places(pair, frozenset(uids)):
            old, new = pair.before.values[place], pair.after.values.get(place)
            if new != uids[old] or (old in objects and new not in written):
                failures.append(f"file {pair.instance.number}: {place}")
    return failures + _lost(pairs, canaries, uids)


def _lost(pairs: list[Pair], canaries: Canaries, uids: dict[str, str]) -> list[str]:
    """Links from object to object that no longer stand anywhere in the output."""
    after = {pair.instance.sop_uid: pair.after for pair in pairs}
    numbers = {one.sop_uid: one.number for one in canaries.instances}
    return [
        f"file {numbers[source]} no longer names file {numbers[target]}"
        for source, target in canaries.references
        if (content := after[source]) is not None and after[target] is not None
        if uids[target] not in content.values.values()
    ]


def _moves(pairs: list[Pair]) -> Iterator[tuple[str, datetime.date, datetime.date]]:
    """Patient, day before and day after, for all places that hold a day in both."""
    for pair in pairs:
        for place, value in pair.before.values.items():
            moved = pair.after.values.get(place, "") if pair.after is not None else ""
            if _is_day(value) and _is_day(moved) and "Birth" not in place:
                yield pair.instance.patient, as_date(value), as_date(moved)


def shifts(pairs: list[Pair]) -> dict[str, set[int]]:
    """By how many days each patient's dates moved."""
    found: dict[str, set[int]] = defaultdict(set)
    for patient, before, after in _moves(pairs):
        found[patient].add((after - before).days)
    return found


def allowed_days(pairs: list[Pair]) -> frozenset[str]:
    """Days that stand where a day of the patient was moved to: by chance, they may be another planted day."""
    return frozenset(after.strftime("%Y%m%d") for _, before, after in _moves(pairs) if after != before)


def _is_day(text: str) -> bool:
    if not (len(text) >= 8 and text[:8].isdigit() and (len(text) == 8 or text[8:14].isdigit())):
        return False
    try:
        return 1900 <= as_date(text).year <= 2100
    except ValueError:
        return False
