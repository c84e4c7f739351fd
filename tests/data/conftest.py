"""Tiny datasets built by hand: no ingest, no phantoms."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from dpmed.core.files import sha256_of
from dpmed.core.labels import SCHEMES, LabelScheme
from dpmed.core.manifest import Case, Geometry, Intensity, Manifest, ScrubSummary, Split
from dpmed.core.recipe import DataRecipe
from dpmed.data import PatientDataset

RAS = np.diag([1.0, 1.0, 1.0, 1.0])
PLAIN = {"modalities": ["t1"], "spatial_dims": 2, "image_size": [16, 16], "draws_per_patient": 4, "augment": False}
SCRUB = ScrubSummary(profile="none", identifiers_removed={}, images_in=0, images_out=0, quarantined=0)


@dataclass
class Builder:
    """Writes cases as ingest would and keeps their records."""

    folder: Path
    cases: list[Case] = field(default_factory=list)

    def volume(
        self,
        patient: int,
        images: Mapping[str, np.ndarray],
        *,
        mask: np.ndarray | None = None,
        label: int | None = None,
        affine: np.ndarray = RAS,
        intensity: Intensity = "arbitrary",
        split: Split = "train",
    ) -> Case:
        """A NIfTI case from arrays in x y z."""
        name = f"c-{len(self.cases):012x}"
        files = {modality: f"images/{name}_{modality}.nii.gz" for modality in images}
        for modality, voxels in images.items():
            self._nifti(files[modality], voxels, affine)
        if mask is not None:
            self._nifti(f"labels/{name}.nii.gz", mask.astype(np.uint8), affine)
        first = next(iter(images.values()))
        geometry = Geometry(
            shape=first.shape,
            spacing_mm=tuple(map(float, nib.affines.voxel_sizes(affine))),
            orientation="".join(nib.aff2axcodes(affine)),
        )
        return self._keep(
            name,
            patient,
            files,
            f"labels/{name}.nii.gz" if mask is not None else None,
            label,
            split,
            intensity,
            geometry,
        )

    def picture(self, patient: int, pixels: np.ndarray, *, label: int, split: Split = "train") -> Case:
        """A PNG case from an array of rows and columns."""
        name = f"c-{len(self.cases):012x}"
        path = self.folder / f"images/{name}_ct.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        geometry = Geometry(shape=pixels.shape, spacing_mm=(1.0, 1.0), orientation="unknown")
        return self._keep(name, patient, {"ct": f"images/{path.name}"}, None, label, split, "display", geometry)

    def manifest(self, *, scheme: LabelScheme = SCHEMES["brats"]) -> Manifest:
        """The manifest of all cases so far: a segmentation task if they have masks."""
        if any(case.mask is not None for case in self.cases):
            return Manifest(task="brats", label_scheme=scheme, cases=tuple(self.cases), scrub=SCRUB)
        return Manifest(task="covid-ct", cases=tuple(self.cases), scrub=SCRUB)

    def dataset(
        self, *, seed: int = 0, cache: Path | None = None, split: Split = "train", **settings: object
    ) -> PatientDataset:
        """A split under a recipe in two dimensions, 16 by 16, without augmentation unless told otherwise."""
        recipe = DataRecipe.model_validate(PLAIN | settings)
        return PatientDataset(self.manifest(), self.folder, recipe, split=split, seed=seed, cache=cache)

    def _nifti(self, name: str, voxels: np.ndarray, affine: np.ndarray) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(voxels, affine), path)

    def _keep(self, name, patient, files, mask, label, split, intensity, geometry) -> Case:
        written = [*files.values(), *([mask] if mask else [])]
        case = Case(
            case=name,
            patient=pseudonym(patient),
            images=files,
            mask=mask,
            label=label,
            split=split,
            intensity=intensity,
            geometry=geometry,
            sha256={file: sha256_of(self.folder / file) for file in written},
        )
        self.cases.append(case)
        return case


def pseudonym(patient: int) -> str:
    return f"p-{patient:012x}"


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path / "dataset")


@pytest.fixture
def brains(builder: Builder) -> Builder:
    """Three MR patients of different size; the second has two scans and no tumour."""
    rng = np.random.default_rng(0)
    for patient, depth in ((0, 6), (1, 4), (1, 3), (2, 9)):
        image = rng.normal(100 * (patient + 1), 10, (20, 16, depth)).astype(np.float32)
        image[:3] = 0
        mask = np.zeros(image.shape)
        if patient != 1:
            mask[8:12, 6:11, 1:3] = 2
            mask[9:11, 7:9, 1:3] = 1
            mask[9, 7, 1] = 4
        builder.volume(patient, {"t1": image, "flair": image[::-1].copy()}, mask=mask)
    return builder
