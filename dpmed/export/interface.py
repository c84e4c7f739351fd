"""What a network takes and gives, for whoever feeds it without dpmed: axes, order of channels, sizes, normalisation."""

from dpmed.core.recipe import DataRecipe
from dpmed.core.record import Record
from dpmed.core.runconfig import RunConfig
from dpmed.data.pipeline import BACKGROUND
from dpmed.models import side_multiple

AXES = {2: ("row", "column"), 3: ("slice", "row", "column")}
ORIENTATION = "slices from feet to head, rows from front to back, columns from the patient's right to left"
PICTURES = "8-bit pictures: grey values from 0 to 255 brought to -1 to 1"
OWN_TISSUE = "each sequence brought to mean 0 and deviation 1 over all its voxels that are not zero; zeros stay zero"
HALF = "values rounded to half precision, as in training"
MEANING = {
    "classification": "the sigmoid of a logit is the probability in this slice or patch; a case has the mean of them",
    "segmentation": "a voxel is in a region where the logit is above 0; regions may overlap",
}


class Tensor(Record):
    """One tensor of a network. `sides_multiple_of` is None where the sides must be those of `size`."""

    name: str
    axes: tuple[str, ...]
    channels: tuple[str, ...]
    size: tuple[int, ...]
    sides_multiple_of: int | None
    dtype: str = "float32"
    meaning: str


class Interface(Record):
    """Both ends of a network, and how a scan becomes its input. `spacing_mm` None: whole slices fitted into `size`."""

    input: Tensor
    output: Tensor
    orientation: str = ORIENTATION
    spacing_mm: tuple[float, ...] | None
    normalisation: tuple[str, ...]
    background: float


def interface(config: RunConfig) -> Interface:
    """The interface of a run's network."""
    data, segments = config.recipe.data, config.task.kind == "segmentation"
    axes = ("batch", "channel", *AXES[data.spatial_dims])
    multiple = side_multiple(config.model.name) if segments else None
    return Interface(
        input=Tensor(
            name="image",
            axes=axes,
            channels=data.modalities,
            size=data.image_size,
            sides_multiple_of=multiple,
            meaning="a slice" if data.spatial_dims == 2 else "a patch, half overlapping with the next",
        ),
        output=Tensor(
            name="logits",
            axes=axes if segments else axes[:2],
            channels=config.task.outputs,
            size=data.image_size if segments else (),
            sides_multiple_of=multiple,
            meaning=MEANING[config.task.kind],
        ),
        spacing_mm=data.spacing_mm,
        normalisation=(*_normalisation(data), HALF),
        background=background(data),
    )


def is_ct(data: DataRecipe) -> bool:
    """Whether volumes hold Hounsfield units; MR has no physical unit."""
    return set(data.modalities) == {"ct"}


def background(data: DataRecipe) -> float:
    """Air after normalisation."""
    return BACKGROUND["hounsfield" if is_ct(data) else "arbitrary"]


def _normalisation(data: DataRecipe) -> tuple[str, ...]:
    if not is_ct(data):
        return (OWN_TISSUE,)
    low, high = data.window_hu
    return (f"CT numbers: {low:g} to {high:g} HU brought to -1 to 1, the rest clipped", PICTURES)
