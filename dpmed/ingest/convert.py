"""One job, alone: read the images of a case, check them against each other, write them under a pseudonym."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from dpmed.core.files import sha256_of, write_atomic
from dpmed.core.labels import LabelScheme
from dpmed.core.manifest import Geometry, Intensity
from dpmed.core.record import Record
from dpmed.ingest.decode import read_slices
from dpmed.ingest.detect import Kind
from dpmed.ingest.faces.policy import FacePolicy, without_faces
from dpmed.ingest.geometry import geometry
from dpmed.ingest.jobs import Job, Part
from dpmed.ingest.nifti import Volume, read_nifti, write_nifti
from dpmed.ingest.pictures import read_picture, write_picture
from dpmed.ingest.pixels.inspect import Inspector, TextFound, look_through
from dpmed.ingest.pixels.inspect import Outcome as Looked
from dpmed.ingest.pixels.volumes import slices_of
from dpmed.ingest.quiet import reading
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.segments import read_mask

SAME_GRID_MM = 1e-2
AIR_HU = -500
"""Below any soft tissue: CT in Hounsfield units has voxels of air, windowed or rescaled CT has none so low."""


class Outcome(Record):
    """What became of a job: paths, digests and grid, or the reason it was held back. Holds no original name."""

    case: str
    images: dict[str, str] = Field(default_factory=dict)
    mask: str | None = None
    intensity: Intensity | None = None
    geometry: Geometry | None = None
    sha256: dict[str, str] = Field(default_factory=dict)
    duplicates: int = 0
    reason: Reason | None = None
    faces: str = ""
    """What looking for a face came to, in words."""
    pixels: str = ""
    """What looking for text came to, in words."""


@dataclass(frozen=True)
class Converter:
    """Where to write and what masks may hold. A plain value, so that any process can do the work."""

    out: Path
    kind: Kind
    scheme: LabelScheme | None
    look: Inspector
    faces: FacePolicy

    def __call__(self, job: Job) -> Outcome:
        """Write the case of `job`, or say why not; a case that is refused leaves no file."""
        try:
            return self._picture(job) if self.kind is Kind.PICTURES else self._volumes(job)
        except TextFound as found:
            write_atomic(self.out / "quarantine" / f"{job.short}.png", found.proof)
            return Outcome(case=job.case, reason=found.reason, pixels=Looked.HELD.value)
        except Refused as refused:
            return Outcome(case=job.case, reason=refused.reason)

    def _picture(self, job: Job) -> Outcome:
        part = job.candidate.parts[0]
        grey = read_picture(part.files[0].path)
        text = look_through([grey], self.look)
        name = f"images/{job.case}_{part.modality}.png"
        write_picture(self.out / name, grey)
        rows, columns = grey.shape
        return Outcome(
            case=job.case,
            images={part.modality: name},
            # 16 bits hold more than a display shows, in a unit nobody has stated.
            intensity="display" if grey.dtype == np.uint8 else "arbitrary",
            geometry=Geometry(shape=(rows, columns), spacing_mm=(1.0, 1.0), orientation="unknown"),
            sha256={name: sha256_of(self.out / name)},
            pixels=text.value,
        )

    def _volumes(self, job: Job) -> Outcome:
        """Everything is read and checked before the first byte is written."""
        volumes = {part.modality: volume_of(part) for part in job.candidate.parts}
        first = next(iter(volumes.values()))
        if not all(_same_grid(first, other) for other in volumes.values()):
            raise Refused(Reason.GRIDS_DIFFER)
        mask = self._mask(job, first)
        volumes, face = without_faces(volumes, self.faces, is_declared=job.candidate.is_defaced)
        volumes, text = self._without_text(volumes)
        images = {modality: f"images/{job.case}_{modality}.nii.gz" for modality in volumes}
        for modality, name in images.items():
            write_nifti(self.out / name, volumes[modality])
        written = list(images.values())
        if mask is not None:
            written.append(f"labels/{job.case}.nii.gz")
            write_nifti(self.out / written[-1], mask)
        return Outcome(
            case=job.case,
            images=images,
            mask=written[-1] if mask is not None else None,
            intensity=job.candidate.intensity or _intensity(volumes),
            geometry=geometry(first.voxels.shape, first.affine),
            sha256={name: sha256_of(self.out / name) for name in written},
            duplicates=_duplicates(job.candidate.parts[0]),
            faces=face,
            pixels=text,
        )

    def _without_text(self, volumes: dict[str, Volume]) -> tuple[dict[str, Volume], str]:
        """The volumes as the policy lets them pass, and what most was done to any. Raises `TextFound`."""
        # What came out of a file cannot be painted on.
        writable = {name: Volume(np.require(one.voxels, None, "W"), one.affine) for name, one in volumes.items()}
        did = {look_through(way, self.look) for volume in writable.values() for way in self._ways(volume)}
        return writable, (Looked.PAINTED if Looked.PAINTED in did else next(iter(did))).value

    def _ways(self, volume: Volume) -> tuple[list[np.ndarray], ...]:
        """Slices as they were acquired, [row, column]: voxels of a series are [column, row, slice]."""
        if self.kind is Kind.DICOM:
            return ([plane.T for plane in np.moveaxis(volume.voxels, 2, 0)],)
        return slices_of(volume.voxels, volume.affine)

    def _mask(self, job: Job, image: Volume) -> Volume | None:
        if job.candidate.mask is None or self.scheme is None:
            return None
        mask = _mask_volume(job.candidate.mask, image)
        if not _same_grid(mask, image):
            raise Refused(Reason.MASK_GRID)
        values = np.unique(mask.voxels)
        if not set(values.tolist()) <= self.scheme.labels:
            raise Refused(Reason.MASK_LABELS)
        kind = np.uint8 if values.max(initial=0) <= np.iinfo(np.uint8).max else np.int16
        # The image's own affine, so that the two grids are equal to the bit.
        return Volume(mask.voxels.astype(kind), image.affine)


def _mask_volume(part: Part, image: Volume) -> Volume:
    if part.segments is None:
        return volume_of(part)
    return Volume(read_mask(part.files[0].path, part.segments, image.affine, image.voxels.shape), image.affine)


def volume_of(part: Part, *, every: int = 1) -> Volume:
    """The voxels of one image of a case, of a slice's rows and columns one in `every`. Raises `Refused`."""
    if part.stack is not None:
        return _stacked(part, every)
    volume = read_nifti(part.files[0].path)
    voxels = volume.voxels
    if part.channel is not None:
        if voxels.ndim != 4 or part.channel >= voxels.shape[3]:
            raise Refused(Reason.NOT_3D)
        voxels = voxels[..., part.channel]
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim != 3:
        raise Refused(Reason.NOT_3D)
    return Volume(voxels, volume.affine)


def _stacked(part: Part, every: int) -> Volume:
    """A series as a volume; two slices at one place are fine if they are the same to the pixel.

    Slice after slice goes into its place, so that no more than the volume and one slice are ever in memory.
    """
    assert part.stack is not None
    place_of = {index: place for place, layer in enumerate(part.stack.layers) for index in layer}
    with reading(Reason.TOO_LARGE):
        header = part.headers[0]
        # In the order NIfTI writes (first index fastest), so that each slice is one run of memory.
        size = -(-header.columns // every), -(-header.rows // every)
        voxels = np.zeros((*size, len(part.stack.layers)), np.int16, order="F")
    filled: set[int] = set()
    for path, indices in _by_file(part):
        slices = read_slices(path, [part.headers[index] for index in indices])
        for index, whole in zip(indices, slices, strict=True):
            piece = whole[::every, ::every]
            place = place_of[index]
            if place in filled and not np.array_equal(voxels[..., place], piece):
                raise Refused(Reason.OVERLAPPING)
            if piece.dtype != voxels.dtype and voxels.dtype == np.int16:
                with reading(Reason.TOO_LARGE):
                    voxels = voxels.astype(np.float32, order="F")
            voxels[..., place] = piece
            filled.add(place)
    return Volume(voxels, np.array(part.stack.affine) * (every, every, 1, 1))


def _by_file(part: Part) -> list[tuple[Path, list[int]]]:
    """The slices of a part file by file, each file's in the order of its frames."""
    found: dict[Path, list[int]] = {}
    for index in sorted(range(len(part.files)), key=lambda index: part.headers[index].frame or 0):
        found.setdefault(part.files[index].path, []).append(index)
    return list(found.items())


def _duplicates(part: Part) -> int:
    """Files that added nothing: all their slices were there before."""
    if part.stack is None:
        return 0
    used = {part.files[layer[0]] for layer in part.stack.layers}
    return len(set(part.files) - used)


def _same_grid(one: Volume, other: Volume) -> bool:
    return one.voxels.shape == other.voxels.shape and np.allclose(one.affine, other.affine, rtol=0, atol=SAME_GRID_MM)


def _intensity(volumes: dict[str, Volume]) -> Intensity:
    """A NIfTI file does not say its unit: CT counts as Hounsfield only if it shows air as air."""
    return "hounsfield" if set(volumes) == {"ct"} and volumes["ct"].voxels.min() < AIR_HU else "arbitrary"
