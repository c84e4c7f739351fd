"""Transforms of MONAI's dictionary kind for the grid of an image: which axis lies where, and the size of a slice.

Past `SlicesFirstd` every array is laid out as a radiologist looks at it: slices from feet to head, rows from front to
back, columns from the patient's right to left. Pictures keep the layout of their file.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from monai.config.type_definitions import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform
from torch import Tensor
from torch.nn.functional import interpolate, pad

SPACING, AFFINE = "spacing_mm", "affine"


class SlicesFirstd(MapTransform):
    """From MONAI's "channel x y z" to "channel slice row column", plain tensors; "channel row column" gets one slice.

    Adds `spacing_mm` in array order, 1.0 where the source has none, and `affine`, "4 4" in float64, from slice, row and
    column to the millimetres of the source (RAS for NIfTI); a picture's are its own rows and columns.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with every key laid out anew."""
        item = dict(data)
        for key in self.keys:
            image: MetaTensor = item[key]
            if image.ndim == 4:
                item[SPACING] = tuple(float(step) for step in reversed(image.pixdim))
                item[AFFINE] = image.affine.numpy().astype(np.float64)[:, [2, 1, 0, 3]]
                item[key] = image.as_tensor().permute(0, 3, 2, 1)
            else:
                item[SPACING], item[AFFINE] = (1.0, 1.0, 1.0), np.eye(4)
                item[key] = image.as_tensor().unsqueeze(1)
        return item


class FitSlicesd(MapTransform):
    """Give every slice `size` rows and columns with square pixels, padded around with `background`.

    Pixels have `pixel_mm` (cut off where that is too small for the whole slice) or, if None, the least size at which
    the whole slice fits. Masks, known by their whole-number type, take the nearest voxel.
    """

    def __init__(
        self, keys: KeysCollection, *, size: Sequence[int], pixel_mm: Sequence[float] | None, background: float
    ) -> None:
        super().__init__(keys)
        self.size, self.pixel_mm, self.background = tuple(size), pixel_mm, background

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with every key of the wanted size, and `spacing_mm` and `affine` to match."""
        item = dict(data)
        depth_mm, *plane_mm = item[SPACING]
        extent_mm = [count * step for count, step in zip(item[self.keys[0]].shape[-2:], plane_mm, strict=True)]
        fitting = max(extent / count for extent, count in zip(extent_mm, self.size, strict=True))
        pixel_mm = self.pixel_mm or (fitting, fitting)
        shape = [max(1, round(extent / step)) for extent, step in zip(extent_mm, pixel_mm, strict=True)]
        item[AFFINE] = item[AFFINE] @ _from_fitted(item[self.keys[0]].shape[-2:], shape, self.size)
        for key in self.keys:
            item[key] = self._fitted(item[key], shape)
        item[SPACING] = (depth_mm, *pixel_mm)
        return item

    def _fitted(
        self, image: Float[Tensor, "channel slice h w"], shape: list[int]
    ) -> Float[Tensor, "channel slice r c"]:
        if image.dtype == torch.uint8:
            return _padded(interpolate(image, size=shape, mode="nearest-exact"), self.size, 0)
        smooth = interpolate(image, size=shape, mode="bilinear", antialias=True, align_corners=False)
        return _padded(smooth, self.size, self.background)


def _from_fitted(before: Sequence[int], shape: Sequence[int], size: Sequence[int]) -> Float[np.ndarray, "4 4"]:
    """From rows and columns of a fitted slice to those before: `interpolate` lets outer edges meet, not centres."""
    steps = np.array([there / wanted for there, wanted in zip(before, shape, strict=True)])
    margins = np.array([(wanted - there) // 2 for wanted, there in zip(size, shape, strict=True)])
    back = np.diag([1.0, *steps, 1.0])
    back[1:3, 3] = (0.5 - margins) * steps - 0.5
    return back


def _padded(image: Tensor, size: tuple[int, ...], value: float) -> Tensor:
    """Centred in `size`; what is too much is cut off, as negative padding."""
    rows, columns = (wanted - there for wanted, there in zip(size, image.shape[-2:], strict=True))
    return pad(image, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2), value=value)
