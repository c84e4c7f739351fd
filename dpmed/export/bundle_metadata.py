"""`configs/metadata.json` of a bundle, by MONAI's schema of 2024: what the model is for, its tensors, its versions."""

from importlib.metadata import version
from typing import Any

from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import Statement
from dpmed.evaluate.card import ANSWERS
from dpmed.export.interface import Interface, Tensor, is_ct

Json = dict[str, Any]
SCHEMA = "https://project-monai.github.io/schema/meta_schema_20240725.json"
NEEDED = ("nibabel", "pytorch-ignite", "fire")
"""Of the bundle, beyond MONAI itself. The first is of dpmed too; of the others the oldest that will do is said."""
OLDEST = {"pytorch-ignite": "0.4.11", "fire": "0.5.0"}
NO_DEVICE = "Research on training under differential privacy. Not a medical device."


def metadata(config: RunConfig, statement: Statement, interface: Interface) -> Json:
    """MONAI's keys, and `privacy_statement`: the whole of `statement.json`."""
    segments = config.task.kind == "segmentation"
    return {
        "schema": SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"exported by dpmed {config.dpmed_version} from run {config.run}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {name: OLDEST.get(name) or version(name) for name in NEEDED},
        "name": config.recipe.name,
        "task": config.recipe.summary,
        "description": _description(config),
        "authors": "whoever trained the run; see docs/card.md",
        "copyright": "of whoever trained the run; see LICENSE",
        "data_type": "nibabel",
        "image_classes": ", ".join(config.recipe.data.modalities),
        "pred_classes": _classes(config) if segments else f"probability of {', '.join(config.task.outputs)}",
        "intended_use": NO_DEVICE,
        "privacy_statement": statement.model_dump(mode="json"),
        "network_data_format": {
            "inputs": {"image": _input(config, interface.input)},
            "outputs": {"pred": _output(interface.output, segments=segments)},
        },
    }


def _description(config: RunConfig) -> str:
    answer = ANSWERS[config.task.kind].format(
        outputs=", ".join(config.task.outputs).replace("_", " "), modalities=", ".join(config.recipe.data.modalities)
    )
    return f"A {config.model.name} in {config.model.spatial_dims}-D that {answer}. {NO_DEVICE}"


def _classes(config: RunConfig) -> str:
    """What every label of the map says: in which regions its voxels are."""
    assert config.label_scheme is not None, "a segmentation run has a label scheme"
    regions = config.label_scheme.regions.items()
    held = {label: [name for name, labels in regions if label in labels] for label in config.label_scheme.labels}
    return ", ".join(f"{label} {' and '.join(names) or 'background'}" for label, names in sorted(held.items()))


def _input(config: RunConfig, tensor: Tensor) -> Json:
    ct = is_ct(config.recipe.data)
    return {
        "type": "image",
        "format": "hounsfield" if ct else "magnitude",
        "modality": "CT" if ct else "MR",
        "num_channels": len(tensor.channels),
        "spatial_shape": list(tensor.size),
        "dtype": tensor.dtype,
        "value_range": [-1, 1] if ct else [],
        "is_patch_data": True,
        "channel_def": dict(enumerate(tensor.channels)),
    }


def _output(tensor: Tensor, *, segments: bool) -> Json:
    return {
        "type": "image" if segments else "probabilities",
        "format": "classes",
        "num_channels": len(tensor.channels),
        "spatial_shape": list(tensor.size),
        "dtype": tensor.dtype,
        "value_range": [],
        "is_patch_data": True,
        "channel_def": dict(enumerate(tensor.channels)),
    }
