"""Where a run can go on after a kill: one safetensors file, old or new, that names the ledger line it belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dpmed.core.errors import MismatchError
from dpmed.core.files import written_aside
from dpmed.core.folders import RunFolder
from dpmed.privacy.ledger import Ledger

NAME = "checkpoint.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """The tensors after the step whose ledger line has the digest `ledger_head`. No generator state, ever."""

    tensors: Mapping[str, Tensor]
    ledger_head: str


def save_tensors(path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None) -> None:
    """Write safetensors all or nothing."""
    with written_aside(path) as aside:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, aside, dict(metadata or {}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file; `MismatchError` if it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError):
        raise MismatchError(
            f"{path.name} cannot be read: it is damaged or not safetensors", hint="restore it, or start anew"
        ) from None


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the checkpoint of a run."""
    save_tensors(folder / NAME, checkpoint.tensors, metadata={"ledger_head": checkpoint.ledger_head})


def load_checkpoint(folder: Path) -> Checkpoint | None:
    """The last checkpoint of a run, or None before the first."""
    path = folder / NAME
    if not path.exists():
        return None
    tensors, metadata = load_tensors(path)
    return Checkpoint(tensors, metadata.get("ledger_head", ""))


def paid_checkpoint(run: RunFolder, ledger: Ledger) -> Checkpoint | None:
    """The last checkpoint of a run. Raises `MismatchError` where the ledger lacks the line that it was paid with."""
    checkpoint = load_checkpoint(run.state)
    if checkpoint is not None and not ledger.holds(checkpoint.ledger_head):
        raise MismatchError(
            "the ledger lacks the line that the checkpoint was paid with: it was replaced or cut",
            hint="restore release/ledger.jsonl from a backup; without it nothing can be said about epsilon",
        )
    return checkpoint
