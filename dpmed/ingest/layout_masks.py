"""Which DICOM segmentation belongs to which volume: by the series it refers to and the places of its frames."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dpmed.ingest.jobs import Candidate, HeldBack, Part
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.segments import Segments, places
from dpmed.ingest.sources import Source

MASK = "seg"


def with_masks(
    candidates: Sequence[Candidate], masks: Mapping[Source, Segments]
) -> tuple[list[Candidate], list[HeldBack]]:
    """Give each candidate its mask; hold back masks without an image, and images with several."""
    by_series = defaultdict(list)
    for number, candidate in enumerate(candidates):
        by_series[candidate.parts[0].headers[0].series].append(number)
    found: dict[int, list[Part]] = defaultdict(list)
    held = []
    for source, segments in masks.items():
        try:
            number = _place(segments, candidates, by_series[segments.series])
            found[number].append(Part(MASK, (source,), segments=segments))
        except Refused as refused:
            held.append(HeldBack("file", (source,), refused.reason))
    kept = []
    for number, candidate in enumerate(candidates):
        if len(found[number]) > 1:
            files = (*candidate.files, *(file for part in found[number] for file in part.files))
            held.append(HeldBack("case", files, Reason.MASK_TWICE))
        else:
            kept.append(replace(candidate, mask=found[number][0]) if found[number] else candidate)
    return kept, held


def _place(segments: Segments, candidates: Sequence[Candidate], sisters: Sequence[int]) -> int:
    """The volume that a segmentation was drawn on."""
    if not sisters:
        raise Refused(Reason.NO_IMAGE)
    header = candidates[sisters[0]].parts[0].headers[0]
    if (segments.patient, segments.issuer) != (header.patient, header.issuer):
        raise Refused(Reason.TWO_PATIENTS)
    fitting = [number for number in sisters if _fits(segments, candidates[number].parts[0])]
    if len(fitting) != 1:
        # None, or several time points of one place: which of them it means, its frames do not say.
        raise Refused(Reason.MASK_GRID)
    return fitting[0]


def _fits(segments: Segments, part: Part) -> bool:
    assert part.stack is not None
    shape = (part.headers[0].columns, part.headers[0].rows, len(part.stack.layers))
    try:
        places(segments, np.array(part.stack.affine), shape)
    except Refused:
        return False
    return True
