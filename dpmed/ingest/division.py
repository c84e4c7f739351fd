"""A series divided into volumes: by what its slices say about themselves, never by a guess.

Hospitals send several acquisitions, echoes or time points under one series UID. A series stays whole where its slices
make one regular stack. Where they do not, the first trait (`frames.TRAITS`) that divides it into regular stacks is
used, then further traits within those. What no trait divides stays whole, and is refused with its reason.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dpmed.ingest.dicom import SliceHeader
from dpmed.ingest.frames import TRAITS
from dpmed.ingest.geometry import Stack, is_parallel, is_spaced_alike, stack
from dpmed.ingest.reasons import Reason, Refused

FEWEST_PLACES = 3
"""Of a part of a series that is to be a volume of its own; fewer may be a repeated or a stray slice."""
MOST_KINDS = 32
"""Of slices in one series, by size or direction: a bound on the work that a hostile series can ask for."""
WEAK = frozenset({"acquisition", "dimensions", "time"})
"""Traits that also differ between the two passes of one interleaved volume."""


@dataclass(frozen=True)
class Subseries:
    """Slices of a series that make one volume, as indices into it. `mark` tells it apart from its sisters.

    `stack` counts within `slices`. The mark holds original values: stays in memory.
    """

    slices: tuple[int, ...]
    stack: Stack
    mark: str = ""


@dataclass(frozen=True)
class Rest:
    """Slices of a series that make no volume."""

    slices: tuple[int, ...]
    reason: Reason


Division = tuple[list[Subseries], list[Rest]]


def divide(headers: Sequence[SliceHeader]) -> Division:
    """The volumes of a series, and what is left over."""
    placed = [n for n, header in enumerate(headers) if header.plane is not None]
    lost = sorted(set(range(len(headers))) - set(placed))
    rests = [Rest(tuple(lost), Reason.NO_GEOMETRY)] if lost else []
    try:
        sizes = _alike(headers, placed, _same_picture)
    except Refused as refused:
        return [], [*rests, Rest(tuple(placed), refused.reason)]
    volumes: list[Subseries] = []
    for group in sizes:
        found, left = _of_one_size(headers, group, _size(headers[group[0]]) if len(sizes) > 1 else "")
        volumes += found
        rests += left
    return (volumes, rests) if len(sizes) < 2 else _without_strays(volumes, rests)


def _of_one_size(headers: Sequence[SliceHeader], group: Sequence[int], mark: str) -> Division:
    """A lone slice of another direction is a localiser; which of two volumes to take would be a guess."""
    try:
        return _resolved(headers, group, tuple(TRAITS), mark), []
    except Refused as refused:
        if refused.reason is not Reason.MIXED_ORIENTATION:
            return [], [Rest(tuple(group), refused.reason)]
    try:
        *strays, most = sorted(_alike(headers, group, _same_direction), key=len)
    except Refused:
        return [], [Rest(tuple(group), Reason.MIXED_ORIENTATION)]
    if len(most) < FEWEST_PLACES or any(len(stray) > 1 for stray in strays):
        return [], [Rest(tuple(group), Reason.MIXED_ORIENTATION)]
    found, left = _of_one_size(headers, most, mark)
    return found, [*left, Rest(tuple(n for stray in strays for n in stray), Reason.MIXED_ORIENTATION)]


def _without_strays(volumes: list[Subseries], rests: list[Rest]) -> Division:
    """Among volumes of different size, one of few slices is a picture of something else, such as a scout."""
    kept = [volume for volume in volumes if len(volume.stack.layers) >= FEWEST_PLACES]
    strays = [Rest(volume.slices, Reason.MIXED_SIZE) for volume in volumes if volume not in kept]
    return kept, [*rests, *strays]


def _resolved(
    headers: Sequence[SliceHeader], group: Sequence[int], traits: Sequence[str], mark: str
) -> list[Subseries]:
    """The group as one regular stack, or divided by the first trait that makes regular stacks of it."""
    whole = _stacked(headers, group)
    if isinstance(whole, Stack) and not whole.duplicates:
        return [Subseries(tuple(group), whole, mark)]
    for position, trait in enumerate(traits):
        parts = _by_trait(headers, group, trait)
        if _is_division(headers, trait, list(parts.values()), whole):
            rest = traits[position + 1 :]
            return [
                volume
                for value, part in sorted(parts.items())
                for volume in _resolved(headers, part, rest, f"{mark}\x1e{trait}={value}")
            ]
    if isinstance(whole, Reason):
        raise Refused(whole)
    return [Subseries(tuple(group), whole, mark)]  # two slices at a place: the same to the pixel, or refused when read


def _is_division(
    headers: Sequence[SliceHeader], trait: str, parts: Sequence[Sequence[int]], whole: Stack | Reason
) -> bool:
    """Whether a trait divides for certain: all parts regular, none a stray, and all free of what ailed the whole."""
    if len(parts) < 2 or min(map(len, parts)) < 2 or (whole is Reason.MIXED_ORIENTATION and trait != "stack"):
        return False
    found = [_stacked(headers, part) for part in parts]
    stacks = [part for part in found if isinstance(part, Stack)]
    if len(stacks) < len(parts):
        return False
    heights = [len(part.layers) for part in stacks]
    if isinstance(whole, Stack):
        # Parts that share no place are the passes of one volume: its doubled slices are not their doing.
        as_high = min(heights) == len(whole.layers) >= 2
        return (as_high or min(heights) >= FEWEST_PLACES) and sum(heights) > len(whole.layers)
    return min(heights) >= FEWEST_PLACES and (trait not in WEAK or _lie_apart(stacks))


def _lie_apart(stacks: Sequence[Stack]) -> bool:
    """Whether parallel stacks follow each other along their normal, overlapping by less than half."""
    first = np.array(stacks[0].affine)
    normal = np.cross(first[:3, 0], first[:3, 1])
    spans = []
    for part in stacks:
        affine = np.array(part.affine)
        low = float(affine[:3, 3] @ normal)
        spans.append(sorted((low, low + float(affine[:3, 2] @ normal) * (len(part.layers) - 1))))
    spans.sort()
    return all(a[1] - b[0] < 0.5 * min(a[1] - a[0], b[1] - b[0]) for a, b in pairwise(spans))


def _stacked(headers: Sequence[SliceHeader], group: Sequence[int]) -> Stack | Reason:
    planes = [plane for n in group if (plane := headers[n].plane) is not None]
    try:
        return stack(planes)
    except Refused as refused:
        return refused.reason


def _by_trait(headers: Sequence[SliceHeader], group: Sequence[int], trait: str) -> dict[str, list[int]]:
    place = list(TRAITS).index(trait)
    parts: dict[str, list[int]] = {}
    for n in group:
        parts.setdefault(headers[n].traits[place], []).append(n)
    return parts


def _alike(
    headers: Sequence[SliceHeader], group: Sequence[int], same: Callable[[SliceHeader, SliceHeader], bool]
) -> list[list[int]]:
    """Slices in groups that are in some respect the same as the first of each."""
    groups: list[list[int]] = []
    for n in group:
        home = next((found for found in groups if same(headers[found[0]], headers[n])), None)
        if home is not None:
            home.append(n)
        elif len(groups) < MOST_KINDS:
            groups.append([n])
        else:
            raise Refused(Reason.MIXED_SIZE)
    return groups


def _size(header: SliceHeader) -> str:
    spacing = header.plane.spacing if header.plane else ()
    return "x".join(str(number) for number in (header.modality, header.rows, header.columns, *spacing))


def _same_picture(one: SliceHeader, other: SliceHeader) -> bool:
    assert one.plane and other.plane
    is_alike = (one.rows, one.columns, one.modality) == (other.rows, other.columns, other.modality)
    return is_alike and is_spaced_alike(one.plane, other.plane)


def _same_direction(one: SliceHeader, other: SliceHeader) -> bool:
    assert one.plane and other.plane
    return is_parallel(one.plane, other.plane)
