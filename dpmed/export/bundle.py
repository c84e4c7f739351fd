"""A MONAI bundle: network, pipeline and papers in one folder that `python -m monai.bundle run` executes."""

import json
import warnings
from importlib import resources
from pathlib import Path

from monai.bundle.config_parser import ConfigParser
from safetensors.torch import save_file
from torch import nn

from dpmed.core.errors import ConfigError
from dpmed.core.runconfig import RunConfig
from dpmed.export.bundle_config import inference
from dpmed.export.bundle_metadata import metadata
from dpmed.export.interface import Interface
from dpmed.export.pages import LICENCE, bundle_page
from dpmed.export.proof import Proof, proved
from dpmed.export.subject import Subject
from dpmed.export.torchscript import write_torchscript

SCRIPTS = ("__init__.py", "volume.py")


def check_exportable(config: RunConfig) -> None:
    """Raise `ConfigError` for a model of pictures, since a bundle reads volumes, and for one that chooses slices."""
    if "xray" in config.recipe.data.modalities:
        raise ConfigError(
            "a bundle reads NIfTI volumes, and this model was trained on pictures",
            hint="use --format onnx or torchscript",
        )
    if config.recipe.data.slices != "any" and config.task.kind == "classification":
        raise ConfigError(
            "a bundle takes the mean over all slices, and this model over those with most content",
            hint="use --format onnx or torchscript",
        )


def write_bundle(folder: Path, what: Subject, interface: Interface) -> Proof:
    """Write the folder, then let MONAI build the network from its configuration, and compare."""
    for name in ("configs", "docs", "models", "scripts"):
        (folder / name).mkdir()
    _write_json(folder / "configs" / "inference.json", inference(what.config))
    _write_json(folder / "configs" / "metadata.json", metadata(what.config, what.statement, interface))
    for name, text in (what.papers | {"README.md": bundle_page(what.config)}).items():
        (folder / "docs" / name).write_text(text)
    (folder / "LICENSE").write_text(LICENCE)
    for name in SCRIPTS:
        (folder / "scripts" / name).write_text(resources.files("dpmed.export.scripts").joinpath(name).read_text())
    write_torchscript(folder / "models" / "model.ts", what.network, interface, what.papers)
    tensors = {name: tensor.contiguous() for name, tensor in what.network.state_dict().items()}
    save_file(tensors, folder / "models" / "model.safetensors", metadata={"format": "pt"})
    return proved(what.network, _opened(folder), interface, runtime="monai.bundle")


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def _opened(folder: Path) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a bundle is code: this one is ours
        parser = ConfigParser()
        parser.read_config(folder / "configs" / "inference.json")
        parser["bundle_root"], parser["device"] = str(folder), "cpu"
        network: nn.Module = parser.get_parsed_content("network_def")
    return network
