"""safetensors: the weights alone, which hold no code, with all it takes to build the network again."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from dpmed.core.runconfig import RunConfig
from dpmed.export.interface import Interface
from dpmed.export.pages import weights_page
from dpmed.export.proof import Proof, proved
from dpmed.models import build

MODEL, CONFIG, README = "model.safetensors", "config.json", "README.md"


def write_weights(folder: Path, network: nn.Module, interface: Interface, papers: Mapping[str, str]) -> Proof:
    """Write the folder, then build the network anew from its files alone and compare."""
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(tensors, folder / MODEL, metadata={"format": "pt"})
    for name, text in papers.items():
        (folder / name).write_text(text)
    (folder / README).write_text(weights_page(interface))
    return proved(network, _opened(folder), interface, runtime="the network rebuilt from the folder")


def _opened(folder: Path) -> nn.Module:
    config = RunConfig.from_json((folder / CONFIG).read_text())
    network = build(config.model).eval()
    network.load_state_dict(load_file(folder / MODEL))
    return network
