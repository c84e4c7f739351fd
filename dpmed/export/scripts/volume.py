"""A scan as the network saw scans in training, its answer back on the grid of the file, and the files to read.

Part of a MONAI bundle: MONAI's own transforms do the rest, as `configs/inference.json` says. Arrays are laid out as a
radiologist looks at them: slices from feet to head, rows from front to back, columns from the patient's right to left.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data.meta_tensor import MetaTensor
from monai.data.utils import dense_patch_slices
from monai.inferers.inferer import Inferer
from monai.transforms.spatial.array import SpatialResample
from monai.transforms.transform import MapTransform
from torch import Tensor
from torch.nn.functional import interpolate, pad


def cases_in(folder: str, modalities: Sequence[str]) -> list[dict[str, str]]:
    """The cases below a folder: of each all files `<case>_<modality>.nii.gz`. Raises `ValueError` for none or a gap."""
    first = sorted(Path(folder).rglob(f"*_{modalities[0]}.nii.gz"))
    found = [{name: str(_sister(file, modalities[0], name)) for name in modalities} for file in first]
    if not found or not all(Path(name).is_file() for case in found for name in case.values()):
        wanted = ", ".join(f"<case>_{name}.nii.gz" for name in modalities)
        raise ValueError(f"every case in dataset_dir needs {wanted}; found {len(found)} of the first kind")
    return found


def _sister(file: Path, modality: str, other: str) -> Path:
    return file.with_name(file.name.removesuffix(f"_{modality}.nii.gz") + f"_{other}.nii.gz")


class Readyd(MapTransform):
    """From MONAI's "channel x y z" in LPS to "channel slice row column", rounded to half precision.

    With `slice_size`, every slice gets so many rows and columns with square pixels, padded around with `background`:
    of `pixel_mm`, or, if None, of the least size at which the whole slice fits. The affine follows.
    """

    def __init__(
        self,
        keys: str,
        *,
        slice_size: Sequence[int] | None = None,
        pixel_mm: Sequence[float] | None = None,
        background: float = 0.0,
    ) -> None:
        super().__init__(keys)
        self.slice_size, self.pixel_mm, self.background = slice_size, pixel_mm, background

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with every key made ready."""
        item = dict(data)
        for key in self.keys:
            item[key] = self._ready(item[key])
        return item

    def _ready(self, image: MetaTensor) -> MetaTensor:
        volume = image.as_tensor().permute(0, 3, 2, 1)
        affine = image.affine[:, [2, 1, 0, 3]]
        if self.slice_size is not None:
            volume, to_scan = self._fitted(volume, [float(step) for step in reversed(image.pixdim)][1:])
            affine = affine @ to_scan.to(affine)
        return _placed(volume.half().float().contiguous(), affine, image)

    def _fitted(self, volume: Tensor, plane_mm: Sequence[float]) -> tuple[Tensor, Tensor]:
        """Slices of the wanted size, and the way from their rows and columns to those before."""
        assert self.slice_size is not None
        before = volume.shape[-2:]
        extent_mm = [count * step for count, step in zip(before, plane_mm, strict=True)]
        fitting = max(extent / count for extent, count in zip(extent_mm, self.slice_size, strict=True))
        pixel_mm = self.pixel_mm or (fitting, fitting)
        shape = [max(1, round(extent / step)) for extent, step in zip(extent_mm, pixel_mm, strict=True)]
        smooth = interpolate(volume, size=shape, mode="bilinear", antialias=True, align_corners=False)
        rows, columns = (wanted - there for wanted, there in zip(self.slice_size, shape, strict=True))
        margins = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        return pad(smooth, margins, value=self.background), _back(before, shape, margins=(rows // 2, columns // 2))


def _plain(values: Tensor) -> Tensor:
    plain: Tensor = values.as_tensor() if isinstance(values, MetaTensor) else values
    return plain


def _placed(values: Tensor, affine: Tensor, like: MetaTensor) -> MetaTensor:
    """With all that is known of another image, but on a grid of its own."""
    return MetaTensor(
        values, affine=affine, meta={name: value for name, value in like.meta.items() if name != "affine"}
    )


def _back(before: Sequence[int], shape: Sequence[int], *, margins: Sequence[int]) -> Tensor:
    """`interpolate` lets the outer edges of two grids meet, not the centres of their first voxels."""
    way = torch.eye(4, dtype=torch.float64)
    for axis, (there, here, margin) in enumerate(zip(before, shape, margins, strict=True), start=1):
        step = there / here
        way[axis, axis], way[axis, 3] = step, (0.5 - margin) * step - 0.5
    return way


class Labelsd(MapTransform):
    """From logits of regions on the network's grid to one map of labels on the grid of the file.

    Probabilities are interpolated linearly, the outermost values reaching one voxel further, and cut at one half. A
    voxel's code has a bit for every region that it lies in; `labels` has a label for every code.
    """

    def __init__(self, keys: str, *, image_key: str, labels: Sequence[int]) -> None:
        super().__init__(keys)
        self.image_key, self.labels = image_key, torch.tensor(labels, dtype=torch.int16)
        self._resample = SpatialResample(mode="bilinear", padding_mode="zeros", dtype="float32")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with every key on the grid of the file."""
        item = dict(data)
        image: MetaTensor = item[self.image_key]
        for key in self.keys:
            regions = self._on_the_file(torch.sigmoid(_plain(item[key])), image) > 0.5
            code = torch.zeros(regions.shape[1:], dtype=torch.int32)
            for bit, region in enumerate(regions.cpu()):
                code += region.to(torch.int32) << bit
            item[key] = _placed(self.labels[code][None], image.meta["original_affine"], image)
        return item

    def _on_the_file(self, regions: Tensor, image: MetaTensor) -> Tensor:
        framed = pad(regions[None], (1, 1, 1, 1, 1, 1), mode="replicate")[0]
        before = torch.eye(4, dtype=torch.float64)
        before[:3, 3] = -1
        seen = MetaTensor(framed, affine=image.affine.cpu() @ before)
        shape = [int(side) for side in image.meta["spatial_shape"]]
        return _plain(self._resample(seen, dst_affine=image.meta["original_affine"], spatial_size=shape))


class MeanProbability(Inferer):
    """One probability per case: the mean over its slices, or over patches that half overlap."""

    def __init__(self, *, patch_size: Sequence[int] | None = None, background: float = 0.0, at_once: int = 4) -> None:
        super().__init__()
        self.patch_size, self.background, self.at_once = patch_size, background, at_once

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *_: Any, **__: Any) -> Tensor:
        """From "1 channel slice row column" to "1 output"."""
        volume = _plain(inputs)[0]
        views = volume.transpose(0, 1) if self.patch_size is None else self._patches(volume, self.patch_size)
        logits = torch.cat([network(part) for part in torch.split(views, self.at_once)])
        return torch.sigmoid(logits).mean(0, keepdim=True)

    def _patches(self, volume: Tensor, size: Sequence[int]) -> Tensor:
        missing = [max(wanted - there, 0) for wanted, there in zip(size, volume.shape[1:], strict=True)]
        margins = [side for lack in reversed(missing) for side in (lack // 2, lack - lack // 2)]
        volume = pad(volume, margins, value=self.background)
        places = dense_patch_slices(volume.shape[1:], size, [max(1, wanted // 2) for wanted in size])
        return torch.stack([volume[(slice(None), *place)] for place in places])
