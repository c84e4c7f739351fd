"""Whether the outputs still name each other, and whether time still runs as it did."""

import datetime
from collections import defaultdict

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


def shifts(pairs: list[Pair]) -> dict[str, set[int]]:
    """By how many days each patient's dates moved, over all places that hold a day before and after."""
    found: dict[str, set[int]] = defaultdict(set)
    for pair in pairs:
        if pair.after is None:
            continue
        for place, value in pair.before.values.items():
            moved = pair.after.values.get(place, "")
            if _is_day(value) and _is_day(moved) and "Birth" not in place:
                found[pair.instance.patient].add((as_date(moved) - as_date(value)).days)
    return found


def allowed_days(pairs: list[Pair], canaries: Canaries) -> frozenset[str]:
    """Planted days that are another day of a patient, moved as it should be: no leak, though they look like one."""
    moved_by = {patient: days for patient, days in shifts(pairs).items() if days and 0 not in days}
    planted = {as_date(one) for one in canaries.dates}
    moved = {
        as_date(value) + datetime.timedelta(days=days)
        for pair in pairs
        for value in pair.before.values.values()
        if _is_day(value)
        for days in moved_by.get(pair.instance.patient, ())
    }
    return frozenset(day.strftime("%Y%m%d") for day in planted & moved)


def _is_day(text: str) -> bool:
    if not (len(text) >= 8 and text[:8].isdigit() and (len(text) == 8 or text[8:14].isdigit())):
        return False
    try:
        return 1900 <= as_date(text).year <= 2100
    except ValueError:
        return False
