"""TorchScript: one file that PyTorch opens without dpmed, MONAI or Python code, in C++ too."""

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from dpmed.export.interface import Interface
from dpmed.export.proof import Proof, examples, proved

WITH_PATHS = (".debug_pkl",)
"""Where in the source each operation came from: paths of this machine, which no reader needs."""
TRACED_WITH = "/traced_inputs"


def write_torchscript(path: Path, network: nn.Module, interface: Interface, papers: Mapping[str, str]) -> Proof:
    """Trace, write, open again, compare. The papers lie in the archive as extra files.

    The archive describes its tensors and code by pickles, as TorchScript always does; it is dpmed's own, and dpmed
    opens no other.
    """
    whole = path.with_name(f"{path.name}.whole")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that TorchScript has a successor, and that checks of shape are not traced
            traced = torch.jit.trace(network, next(examples(interface)), check_trace=False)  # type: ignore[no-untyped-call]
            torch.jit.save(traced, str(whole), _extra_files=dict(papers))
        _without_paths(whole, path)
    finally:
        whole.unlink(missing_ok=True)
    return proved(network, _opened(path), interface, runtime="torch.jit")


def _opened(path: Path) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network: nn.Module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    return network


def _without_paths(archive: Path, path: Path) -> None:
    """Copy the archive but for what names this machine, its temporary name included."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as new:
        for member in old.infolist():
            if not member.filename.endswith(WITH_PATHS) and TRACED_WITH not in member.filename:
                _, _, name = member.filename.partition("/")
                new.writestr(f"model/{name}", old.read(member))
