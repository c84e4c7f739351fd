"""The table `[data]` of a recipe."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dpmed.core.record import Record
from dpmed.core.specs import Count, Positive

Fraction = Annotated[float, Field(ge=0, le=1)]


class DataRecipe(Record):
    """What of a patient enters one step.

    `image_size` is the size of one slice (2-D) or patch (3-D) in voxels; `draws_per_patient` slices, patches or
    views of a patient are averaged into one gradient, inside the one clip. `foreground_fraction` of the draws of a
    segmentation patient are centred on tumour, where there is one. With `slices` "content", all other draws of a 2-D
    recipe are slices that show at least half as much tissue (CT: lung) as the volume's fullest.
    """

    modalities: Annotated[tuple[str, ...], Field(min_length=1)]
    spatial_dims: Literal[2, 3]
    image_size: Annotated[tuple[Count, ...], Field(min_length=2, max_length=3)]
    spacing_mm: tuple[Positive, ...] | None = None
    window_hu: tuple[float, float] = (-1000.0, 400.0)
    draws_per_patient: Count = 1
    foreground_fraction: Fraction = 0.5
    slices: Literal["any", "content"] = "any"
    augment: bool = True

    @model_validator(mode="after")
    def _sizes_fit_the_dimensions(self) -> "DataRecipe":
        if len(self.image_size) != self.spatial_dims:
            raise ValueError(f"image_size needs {self.spatial_dims} numbers, one per spatial dimension")
        if self.spacing_mm is not None and len(self.spacing_mm) != self.spatial_dims:
            raise ValueError(f"spacing_mm needs {self.spatial_dims} numbers, one per spatial dimension")
        if self.slices == "content" and self.spatial_dims != 2:
            raise ValueError("slices content needs spatial_dims 2: there are no slices in a 3-D recipe")
        if self.window_hu[0] >= self.window_hu[1]:
            raise ValueError("window_hu needs its lower bound first")
        return self
