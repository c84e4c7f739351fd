"""Faces in series that stay DICOM: slices are stacked as for training, looked at as one head, and cut one by one."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool

from dpmed.ingest.convert import volume_of
from dpmed.ingest.dicom import SliceHeader, slices_of
from dpmed.ingest.faces.grid import STEP_MM
from dpmed.ingest.faces.policy import DECLARED, NOT_LOOKED_AT, REMOVED, FacePolicy
from dpmed.ingest.faces.removal import remove_face
from dpmed.ingest.faces.shape import GLANCE_MM, HEIGHT_MM
from dpmed.ingest.faces.state import FaceState, face_state
from dpmed.ingest.geometry import SAME_PLACE_MM, Stack, stack
from dpmed.ingest.jobs import Part
from dpmed.ingest.layout_dicom import dicom_layout
from dpmed.ingest.pixels.inspect import Frames
from dpmed.ingest.pixels.text import Box
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.sources import Source

NO_VOLUME = "not looked at: its slices make no volume"
IRREGULAR = frozenset({Reason.MISSING_SLICES, Reason.UNEVEN_SPACING, Reason.CROOKED, Reason.OVERLAPPING})
"""Why slices make no volume to train on, although they show what they show."""
Position = tuple[float, ...]


@dataclass(frozen=True)
class Slice:
    """One file of a series, and where its header says that it lies (empty if it does not)."""

    source: Source
    position: Position
    is_declared: bool
    """Its header says that its visual features have been cleaned (PS3.15 E.3.2)."""


@dataclass(frozen=True, eq=False)
class Head:
    """What became of one series. `boxes` are rows of pixels to paint over, by file and frame."""

    outcome: str
    reason: Reason | None = None
    boxes: Mapping[Source, Frames] = field(default_factory=dict)


@dataclass(frozen=True)
class _Field:
    """Volumes of one series on one grid: echoes, times, directions of the same head."""

    parts: tuple[Part, ...]
    is_regular: bool = True
    every: int = 1
    """Of a slice's rows and columns, one in so many is looked at."""


@dataclass(frozen=True)
class HeadInspector:
    """Looks for a face in one CT or MR series. A plain value, so that any process can do it."""

    policy: FacePolicy

    def __call__(self, series: Sequence[Slice]) -> Head:
        """Never raises for what is in the files. Most series are no heads: a glance at few slices says so."""
        if self.policy is FacePolicy.IGNORE:
            return Head(NOT_LOOKED_AT)
        try:
            few = _few(series)
            if len(few) < len(series) and _is_no_head(_fields(few)):
                return Head(FaceState.NOT_A_HEAD)
            fields = _fields([one.source for one in series])
            glanced = [_thinned(one) for one in fields]
            if glanced != fields and _is_no_head(glanced):
                return Head(FaceState.NOT_A_HEAD)
            return self._whole(fields, is_declared=all(one.is_declared for one in series))
        except Refused:
            return Head(NO_VOLUME)

    def _whole(self, fields: Sequence[_Field], *, is_declared: bool) -> Head:
        if not fields:
            return Head(NO_VOLUME)
        shown = [_shown(one) for one in fields]
        if FaceState.FACE not in {state for state, _ in shown}:
            return Head(shown[0][0])
        if is_declared:
            return Head(DECLARED)
        if self.policy is FacePolicy.GATE:
            return Head(FaceState.FACE, Reason.FACE)
        try:
            return Head(REMOVED, boxes=_cuts(fields, shown))
        except Refused as refused:
            return Head(FaceState.FACE, refused.reason)


def _few(series: Sequence[Slice]) -> list[Source]:
    """Evenly chosen slices, as far apart as the glance resolves; all where their places are not known, or too close."""
    positions = [one.position for one in series]
    if len(series) < 2 or any(len(position) != 3 for position in positions):
        return [one.source for one in series]
    places = np.array(positions)
    along = int(np.argmax(np.ptp(places, axis=0)))
    order = np.argsort(places[:, along], kind="stable")
    height = float(np.linalg.norm(places[order[-1]] - places[order[0]]))
    step = _step(height / (len(series) - 1), len(series))
    return [series[index].source for index in order[::step]]


def _step(apart_mm: float, count: int) -> int:
    """One in how many slices tells that there is no head; all of a slab so thin that its header is doubted."""
    return max(1, int(GLANCE_MM / apart_mm)) if apart_mm * count >= HEIGHT_MM else 1


def _thinned(field: _Field) -> _Field:
    """Little of files that hold many frames, no more than the glance resolves: a long one is not read whole for it."""
    parts = tuple(_thinned_part(part) for part in field.parts)
    if parts == field.parts:
        return field
    assert parts[0].stack is not None
    apart = float(np.linalg.norm(np.array(parts[0].stack.affine)[:3, :2], axis=0).max())
    return replace(field, parts=parts, every=max(1, int(STEP_MM / apart)))


def _thinned_part(part: Part) -> Part:
    assert part.stack is not None
    affine = np.array(part.stack.affine)
    step = _step(float(np.linalg.norm(affine[:3, 2])), len(part.stack.layers))
    if len(part.files) == len(set(part.files)) or step < 2:
        return part
    affine[:3, 2] *= step
    kept = [index for layer in part.stack.layers[::step] for index in layer[:1]]
    return replace(
        part,
        files=tuple(part.files[index] for index in kept),
        headers=tuple(part.headers[index] for index in kept),
        stack=Stack(tuple((place,) for place in range(len(kept))), tuple(map(tuple, affine.tolist()))),
    )


def _is_no_head(fields: Sequence[_Field]) -> bool:
    """Whether some slices of a series are enough to say so."""
    return bool(fields) and all(_shown(one)[0] is FaceState.NOT_A_HEAD for one in fields)


def _fields(sources: Sequence[Source]) -> list[_Field]:
    """What the slices stack to. Files that are no slices are passed over, and gaps between slices too."""
    headers: dict[Source, tuple[SliceHeader, ...]] = {}
    for source in sources:
        try:
            headers[source] = slices_of(source.path)
        except Refused:
            continue
    layout = dicom_layout(headers, None)
    by_grid: dict[object, list[Part]] = defaultdict(list)
    for candidate in layout.candidates:
        (part,) = candidate.parts
        assert part.stack is not None
        by_grid[part.stack.affine, len(part.stack.layers)].append(part)
    fields = [_Field(tuple(parts)) for parts in by_grid.values()]
    for held in layout.held:
        if held.reason in IRREGULAR:
            members = [(file, header) for file in held.files for header in headers[file]]
            fields.append(_Field((_evened(members),), is_regular=False))
    return fields


def _evened(members: Sequence[tuple[Source, SliceHeader]]) -> Part:
    """Slices with gaps as if there were none: squeezed, but a head all the same."""
    planes = [header.plane for _, header in members]
    first = next(plane for plane in planes if plane is not None)
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    heights = np.array([np.dot(plane.position, normal) if plane else np.inf for plane in planes])
    order = [int(index) for index in np.argsort(heights, kind="stable") if np.isfinite(heights[index])]
    step = max((heights[order[-1]] - heights[order[0]]) / max(1, len(order) - 1), SAME_PLACE_MM)
    even = [replace(first, position=tuple(first.position + number * step * normal)) for number in range(len(order))]
    files, headers = zip(*(members[index] for index in order), strict=True)
    return Part(headers[0].modality, files, headers=headers, stack=stack(even))


def _shown(of: _Field) -> tuple[FaceState, Part]:
    """What a field shows, and in which of its volumes: the first, the middle or the last."""
    parts = of.parts
    some = list(dict.fromkeys((parts[0], parts[len(parts) // 2], parts[-1])))
    states = [_state(part, of.every) for part in some]
    number = states.index(FaceState.FACE) if FaceState.FACE in states else 0
    return states[number], some[number]


def _state(part: Part, every: int) -> FaceState:
    volume = volume_of(part, every=every)
    return face_state(volume.voxels, volume.affine, modality=part.modality)


def _cuts(fields: Sequence[_Field], shown: Sequence[tuple[FaceState, Part]]) -> dict[Source, Frames]:
    """The rows of pixels to paint over, in every volume of a field of which one shows a face. Raises `Refused`."""
    found: dict[Source, list[tuple[int, tuple[Box, ...]]]] = defaultdict(list)
    for one, (state, part) in zip(fields, shown, strict=True):
        if state is not FaceState.FACE:
            continue
        if not one.is_regular:
            raise Refused(Reason.FACE_STAYS)
        volume = volume_of(part)
        removed = remove_face(volume.voxels, volume.affine, modality=part.modality).removed
        for other in one.parts:
            for source, frame, boxes in _by_slice(other, removed):
                found[source].append((frame, boxes))
    return {source: tuple(sorted(frames)) for source, frames in found.items()}


def _by_slice(
    part: Part, removed: Bool[np.ndarray, "column row place"]
) -> Iterable[tuple[Source, int, tuple[Box, ...]]]:
    assert part.stack is not None
    for place, layer in enumerate(part.stack.layers):
        boxes = _rows(removed[..., place].T)
        for index in layer if boxes else ():
            yield part.files[index], part.headers[index].frame or 0, boxes


def _rows(mask: Bool[np.ndarray, "row column"]) -> tuple[Box, ...]:
    """A mask as boxes of one row each."""
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.argwhere(steps == 1), np.argwhere(steps == -1)
    return tuple(
        Box(int(left), int(row), int(right), int(row) + 1) for (row, left), (_, right) in zip(starts, ends, strict=True)
    )
