"""`dpmed predict`: what a trained model says of scans it was given."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Output
from dpmed.core.choices import Device
from dpmed.core.errors import ExitCode, InterruptedRun
from dpmed.core.folders import RunFolder

if TYPE_CHECKING:
    from dpmed.predict.request import PredictDone, PredictRequest

MOST_ROWS = 20


def predict(
    run: Annotated[Path, typer.Argument(help="The run folder that `dpmed train` wrote.")],
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A DICOM file, folder, DICOMDIR or zip; NIfTI; image slices.")
    ],
    out: Annotated[Path, typer.Option(help="A new folder for the answers. They name patients: it stays with you.")],
    dicom_seg: Annotated[
        bool, typer.Option("--dicom-seg", help="Also as DICOM: Segmentation, or Structured Report of a probability.")
    ] = False,
    modality: Annotated[
        str | None, typer.Option(help="What single images are where they do not say it, such as flair.")
    ] = None,
    patients: Annotated[
        Path | None, typer.Option(help="CSV with image or case, patient: whose NIfTI files or pictures are.")
    ] = None,
    device: Annotated[Device, typer.Option(help="Where to predict; auto takes cuda if there is one.")] = "auto",
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Answer for scans that no dataset holds: masks in their own geometry, or a probability per patient."""
    output = Output("predict", json=json, quiet=quiet, verbose=verbose)
    from dpmed.predict.request import PredictRequest

    done = _follow(PredictRequest(RunFolder(run), source, out, modality, patients, dicom_seg, device), output)
    output.show(_page(done))
    if done.refusals:
        output.say(f"without an answer: {_reasons(done)}; each is named in predictions.json")
    status = "partial" if done.refusals else "ok"
    output.finish(_payload(run, done), status=status)
    if done.refusals:
        raise typer.Exit(int(ExitCode.PARTIAL))


def _follow(request: "PredictRequest", output: Output) -> "PredictDone":
    from dpmed.predict.run import predict as answers

    try:
        return output.follow(answers(request))  # type: ignore[no-any-return]
    except KeyboardInterrupt:
        raise InterruptedRun("interrupted; no table was written", hint="run it again with a new --out") from None


def _payload(run: Path, done: "PredictDone") -> dict[str, Any]:
    """Counts alone: names of patients are in the files."""
    from dpmed.predict import tables

    return {
        "run": str(run),
        "task": done.task.kind,
        "scans": len(done.answers),
        "patients": len({answer.patient for answer in done.answers}),
        "positive": sum(row["positive"] for row in tables.patients_of(done)) if done.patients else None,
        "refused": len(done.refusals),
        "refused_by_reason": dict(done.reasons),
        "device": done.device,
        "seconds": round(done.seconds, 3),
        "predictions": str(done.out / tables.ALL),
        **done.statement.model_dump(mode="json", include={"epsilon", "delta", "unit", "neighbouring", "valid"}),
    }


def _page(done: "PredictDone") -> Group:
    from dpmed.evaluate import words

    table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left", title=f"{len(done.answers)} scans")
    table.add_column("line of scans.csv", justify="right")
    regions = [] if done.patients else list(done.task.outputs)
    for name in regions or ["probability"]:
        table.add_column(f"{name.replace('_', ' ')}{', ml' if regions else ''}", justify="right")
    for number, answer in enumerate(done.answers[:MOST_ROWS], start=2):
        volumes = answer.volumes_ml or {}
        cells = [f"{volumes[region]:.2f}" for region in regions] or [f"{answer.probability:.3f}"]
        table.add_row(str(number), *cells)
    more = len(done.answers) - MOST_ROWS
    below = [f"and {more} more"] if more > 0 else []
    below += [
        f"written: {escape(str(done.out))}/",
        "A research model, not a medical device.",
        words.privacy(done.statement),
    ]
    return Group(table, *(escape(line) for line in below))


def _reasons(done: "PredictDone") -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in done.reasons.most_common())
