"""Transforms of MONAI's dictionary kind for the grid of an image: which axis lies where, and the size of a slice.

Past `SlicesFirstd` every array is laid out as a radiologist looks at it: slices from feet to head, rows from front to
back, columns from the patient's right to left. Pictures keep the layout of their file.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from monai.config.type_definitions import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform
from torch import Tensor
from torch.nn.functional import interpolate, pad

SPACING = "spacing_mm"


class SlicesFirstd(MapTransform):
    """From MONAI's "channel x y z" to "channel slice row column", plain tensors; "channel row column" gets one slice.

    Adds `spacing_mm` in array order, 1.0 where the source has none.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The item with every key laid out anew."""
        item = dict(data)
        for key in self.keys:
            image: MetaTensor = item[key]
            if image.ndim == 4:
                item[SPACING] = tuple(float(step) for step in reversed(image.pixdim))
                item[key] = image.as_tensor().permute(0, 3, 2, 1)
            else:
                item[SPACING] = (1.0, 1.0, 1.0)
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
        """The item with every key of the wanted size, and `spacing_mm` to match."""
        item = dict(data)
        depth_mm, *plane_mm = item[SPACING]
        extent_mm = [count * step for count, step in zip(item[self.keys[0]].shape[-2:], plane_mm, strict=True)]
        fitting = max(extent / count for extent, count in zip(extent_mm, self.size, strict=True))
        pixel_mm = self.pixel_mm or (fitting, fitting)
        shape = [max(1, round(extent / step)) for extent, step in zip(extent_mm, pixel_mm, strict=True)]
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


def _padded(image: Tensor, size: tuple[int, ...], value: float) -> Tensor:
    """Centred in `size`; what is too much is cut off, as negative padding."""
    rows, columns = (wanted - there for wanted, there in zip(size, image.shape[-2:], strict=True))
    return pad(image, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2), value=value)
