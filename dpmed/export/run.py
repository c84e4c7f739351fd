"""`dpmed export`: read what is released, write aside, open again, compare, and only then give it its name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from dpmed.core.choices import ExportFormat
from dpmed.core.errors import ConfigError
from dpmed.core.files import written_aside
from dpmed.core.folders import RunFolder
from dpmed.core.specs import Statement
from dpmed.export import to_onnx
from dpmed.export.aside import folder_aside
from dpmed.export.bundle import check_exportable, write_bundle
from dpmed.export.interface import Interface, interface
from dpmed.export.proof import Proof
from dpmed.export.subject import Subject, subject
from dpmed.export.torchscript import write_torchscript
from dpmed.export.weights import write_weights

Writer = Callable[[Path, nn.Module, Interface, Mapping[str, str]], Proof]

FILES: dict[ExportFormat, Writer] = {"torchscript": write_torchscript, "onnx": to_onnx.write_onnx}
NAMES: dict[ExportFormat, str] = {
    "torchscript": "model.ts",
    "onnx": "model.onnx",
    "monai-bundle": "bundle",
    "safetensors": "safetensors",
}
FORMATS = tuple(NAMES)


@dataclass(frozen=True)
class Exported:
    """Where the export lies, how near it is to the original, and what is promised of it."""

    format: ExportFormat
    path: Path
    proof: Proof
    statement: Statement


def export(run: RunFolder, form: ExportFormat, *, out: Path | None = None) -> Exported:
    """Export a run to `out`, by default to a place in `RUN/export/`.

    Raises `ConfigError` if the place is taken or lies in `release/`, or if the format's extra is not installed, and
    `MismatchError` if the run is not finished or the export answers otherwise than the original; nothing is left then.
    """
    path = place(run, form, out)
    if form == "onnx":
        to_onnx.check_installed()
    what = subject(run)
    if form == "monai-bundle":
        check_exportable(what.config)
    return Exported(form, path, _written(path, form, what), what.statement)


def place(run: RunFolder, form: ExportFormat, out: Path | None) -> Path:
    """Where the export goes. Raises `ConfigError` for a place that is taken, or in `release/`, which is full."""
    path = out if out is not None else run.root / "export" / NAMES[form]
    if path.resolve().is_relative_to(run.release.resolve()):
        raise ConfigError("release/ holds the files of a run and no others", hint="leave out --out, or name another")
    if path.exists():
        raise ConfigError("there is something at the place of the export already", hint="name a free --out PATH")
    return path


def _written(path: Path, form: ExportFormat, what: Subject) -> Proof:
    both = interface(what.config)
    if form in FILES:
        with written_aside(path) as aside:
            return FILES[form](aside, what.network, both, what.papers)
    with folder_aside(path) as aside:
        if form == "safetensors":
            return write_weights(aside, what.network, both, what.papers)
        return write_bundle(aside, what, both)
