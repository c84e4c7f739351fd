"""`dpmed export`: a trained model in the formats of other people's viewers and servers."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Output
from dpmed.core.choices import ExportFormat
from dpmed.core.folders import RunFolder

AFTER: dict[ExportFormat, str] = {
    "torchscript": "python -c 'import torch; print(torch.jit.load(\"{}\"))'",
    "onnx": "python -c 'import onnxruntime; print(onnxruntime.InferenceSession(\"{}\").get_inputs())'",
    "monai-bundle": "cd {} && python -m monai.bundle run --config_file configs/inference.json --dataset_dir DIR",
    "safetensors": "cat {}/README.md",
}


def export(
    run: Annotated[Path, typer.Argument(help="The run folder that `dpmed train` wrote.")],
    format_: Annotated[ExportFormat, typer.Option("--format", help="Two are files, the last two are folders.")],
    out: Annotated[Path | None, typer.Option(help="The file or folder to write. Default: in RUN/export/.")] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Take a model elsewhere: TorchScript, ONNX, a MONAI bundle or safetensors, with its privacy statement and card."""
    output = Output("export", json=json, quiet=quiet, verbose=verbose)
    from dpmed.export import export as run_export

    done = run_export(RunFolder(run), format_, out=out)
    shapes = ", ".join("x".join(map(str, shape)) for shape in done.proof.shapes)
    output.say(
        f"{escape(str(done.path))}: opened again and compared with the trained network on random inputs ({shapes}): "
        f"logits differ by at most {done.proof.largest_difference:.1g}"
    )
    output.show(escape(done.statement.words))
    if format_ == "torchscript":
        output.say("A TorchScript file is code and pickles: give others its SHA-256, and open none you do not trust.")
    output.finish(
        {
            "run": str(run),
            "format": format_,
            "path": str(done.path),
            "files": _files(done.path),
            "largest_difference": done.proof.largest_difference,
            "shapes": [list(shape) for shape in done.proof.shapes],
            "epsilon": done.statement.epsilon,
            "delta": done.statement.delta,
            "unit": done.statement.unit,
            "neighbouring": done.statement.neighbouring,
            "valid": done.statement.valid,
        },
        next_command=AFTER[format_].format(str(done.path)),
    )


def _files(path: Path) -> list[str]:
    if path.is_file():
        return [path.name]
    return sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
