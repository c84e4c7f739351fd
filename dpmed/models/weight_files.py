"""Weights on disk, as tensors by name: safetensors, and the files that `torch.save` writes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from dpmed.core.errors import ConfigError, MismatchError
from dpmed.models.torch_files import OtherContentError, read_saved

HOLDERS = ("state_dict", "model_state_dict", "model", "network_weights", "net")
"""Under which of these a published file may keep its tensors, beside an optimizer's or a count of epochs."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Raises `ConfigError` for another kind of file, `MismatchError` for a damaged one and for one with more than
    tensors and plain values in it: no code of a weights file is ever run.
    """
    if path.suffix == ".safetensors":
        return _of_safetensors(path)
    if path.suffix in {".pth", ".pt", ".bin", ".tar", ".ckpt"}:
        return _tensors(_of_torch(path))
    raise ConfigError(
        f"weights in a file of kind {path.suffix or 'none'!r} are not read",
        hint="give a .safetensors, .pth or .pt file, or a dpmed run folder",
    )


def _of_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError):
        raise MismatchError(
            f"{path.name} cannot be read: it is damaged or not safetensors", hint="restore it, or start anew"
        ) from None


def _of_torch(path: Path) -> Any:
    try:
        return read_saved(path)
    except OtherContentError:
        raise MismatchError(
            f"{path.name} cannot be read as tensors alone: it is damaged, or holds objects that would run code",
            hint="fetch it again, or ask its makers for the state_dict alone or for safetensors",
        ) from None


def _tensors(content: Any) -> dict[str, Tensor]:
    """The tensors by name, wherever the file keeps them."""
    for _ in HOLDERS:  # one may be in another, but a hostile one in itself
        inner = (content.get(name) for name in HOLDERS) if isinstance(content, Mapping) else ()
        content = next((one for one in inner if isinstance(one, Mapping)), content)
    items = content.items() if isinstance(content, Mapping) else ()
    if tensors := {str(name): value for name, value in items if isinstance(value, Tensor)}:
        return tensors
    raise MismatchError("the file holds no tensors by name", hint="give a state_dict, as safetensors, .pth or .pt")
