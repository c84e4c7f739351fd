"""The deterministic part of the pipeline: a case's files to one stacked, normalised image on the recipe's grid."""

import hashlib
import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.image_reader import ImageReader, NibabelReader, PILReader
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.intensity.array import ScaleIntensityRange
from monai.transforms.intensity.dictionary import NormalizeIntensityd
from monai.transforms.spatial.dictionary import Orientationd, Spacingd
from monai.transforms.transform import MapTransform, Transform
from monai.transforms.utility.dictionary import ConcatItemsd, DeleteItemsd

from dpmed.core.labels import LabelScheme
from dpmed.core.manifest import Case, Intensity
from dpmed.core.recipe import DataRecipe
from dpmed.data.grid import FitSlicesd, SlicesFirstd

VERSION = 1
"""Raised whenever the same files would give other tensors, so that no old cache is read."""

IMAGE, REGIONS = "image", "regions"
PIECE = 16
BACKGROUND: dict[Intensity, float] = {"hounsfield": -1.0, "display": -1.0, "arbitrary": 0.0}
"""The value of air after normalisation."""


class Readd(MapTransform):
    """Read NIfTI or PNG with MONAI's reader for just that kind, a channel axis in front.

    `LoadImaged` would set up every reader MONAI has, among them one that complains of a missing decoder for DICOM.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with every file name replaced by its image."""
        return {**data, **{key: _read(data[key]) for key in self.keys}}


def _read(name: str) -> MetaTensor:
    reader: ImageReader = NibabelReader() if name.endswith(".nii.gz") else PILReader(reverse_indexing=False)
    voxels, about = reader.get_data(reader.read(name))
    affine = torch.as_tensor(about.get("affine", np.eye(4)))
    return MetaTensor(torch.as_tensor(voxels.astype(np.float32))[None], affine=affine)


class PieceByPieced(MapTransform):
    """A transform of each voxel by itself, a few slices at once and in place: whole scans of CT are large."""

    def __init__(self, voxelwise: Transform) -> None:
        super().__init__(IMAGE)
        self.voxelwise = voxelwise

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with its image transformed."""
        image = data[IMAGE]
        for piece in image.as_tensor().split(PIECE, dim=-1):
            piece.copy_(self.voxelwise(piece))
        return dict(data)


class Regionsd(MapTransform):
    """From a mask of labels to one 0/1 map per region; regions may overlap."""

    def __init__(self, scheme: LabelScheme) -> None:
        super().__init__(REGIONS)
        self.regions = [torch.tensor(labels) for labels in scheme.regions.values()]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with its mask as "region slice row column"."""
        labels = data[REGIONS][0].round().long()
        maps = torch.stack([torch.isin(labels, region) for region in self.regions])
        return {**data, REGIONS: maps.to(torch.uint8)}


def settings_digest(recipe: DataRecipe, scheme: LabelScheme | None) -> str:
    """Names everything but the files that decides what `pipeline` makes of a case."""
    settings = {
        "version": VERSION,
        "recipe": recipe.model_dump(mode="json", include={"modalities", "spatial_dims", "spacing_mm", "window_hu"}),
        "slice_size": recipe.image_size if recipe.spatial_dims == 2 else None,
        "regions": scheme.regions if scheme is not None else None,
    }
    if recipe.slices != "any":
        settings["slices"] = recipe.slices
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def files_of(case: Case, recipe: DataRecipe, scheme: LabelScheme | None) -> dict[str, str]:
    """The files that `pipeline` reads, inside the dataset folder, by key; the mask only with a scheme to read it by."""
    files = {modality: case.images[modality] for modality in recipe.modalities}
    return files | ({REGIONS: case.mask} if scheme is not None and case.mask is not None else {})


def pipeline(case: Case, folder: Path, recipe: DataRecipe, scheme: LabelScheme | None) -> dict[str, Any]:
    """Run a case through MONAI's transforms: "channel slice row column" tensors `image` and, with a scheme, `regions`.

    Nothing in it is fitted to more than the one case (promise 5): CT is windowed to [-1, 1], pictures likewise, and
    each MR sequence is brought to mean 0 and deviation 1 over its own voxels that are not zero.
    """
    files = files_of(case, recipe, scheme)
    transforms = [*_loaded(case, list(files)), *_resampled(list(files), recipe)]
    transforms += [ConcatItemsd(list(recipe.modalities), name=IMAGE), DeleteItemsd(list(recipe.modalities))]
    transforms.append(_normalised(case.intensity, recipe))
    made = [IMAGE] if scheme is None else [IMAGE, REGIONS]
    transforms.append(SlicesFirstd(made))
    if scheme is not None:
        transforms.append(Regionsd(scheme))
    if recipe.spatial_dims == 2:
        background = BACKGROUND[case.intensity]
        transforms.append(FitSlicesd(made, size=recipe.image_size, pixel_mm=recipe.spacing_mm, background=background))
    item: dict[str, Any] = Compose(transforms)({key: str(folder / name) for key, name in files.items()})
    return item


def _loaded(case: Case, keys: list[str]) -> list[Transform]:
    read: list[Transform] = [Readd(keys)]
    return read if len(case.geometry.shape) == 2 else [*read, Orientationd(keys, axcodes="LPS", labels=None)]


def _resampled(keys: list[str], recipe: DataRecipe) -> list[Transform]:
    """Volumes of 3-D recipes at the recipe's spacing; slices get their pixel size when they are fitted."""
    if recipe.spatial_dims == 2 or recipe.spacing_mm is None:
        return []
    modes = ["nearest" if key == REGIONS else "bilinear" for key in keys]
    return [Spacingd(keys, pixdim=recipe.spacing_mm[::-1], mode=modes)]


def _normalised(intensity: Intensity, recipe: DataRecipe) -> Transform:
    if intensity == "arbitrary":
        return NormalizeIntensityd(IMAGE, nonzero=True, channel_wise=True)
    low, high = recipe.window_hu if intensity == "hounsfield" else (0, 255)
    return PieceByPieced(ScaleIntensityRange(a_min=low, a_max=high, b_min=-1, b_max=1, clip=True))
