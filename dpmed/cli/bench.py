"""`dpmed bench`: how fast this machine does it, next to the alternatives."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Output
from dpmed.core.errors import ConfigError, NoInputError

if TYPE_CHECKING:
    from dpmed.ingest.bench import Row

BENCHES = {
    "ingest": "DICOM to DICOM, files per second",
    "engine": "a private step beside an ordinary one, each gradient engine and Opacus",
}

bench = typer.Typer(help="Measure this machine, next to the alternatives that are installed.")


@bench.callback(invoke_without_command=True)
def bare(context: typer.Context, json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Measure this machine, next to the alternatives that are installed."""
    if context.invoked_subcommand is None:
        output = Output("bench", json=json, quiet=quiet, verbose=verbose)
        table = Table("what", "measures")
        for name, what in BENCHES.items():
            table.add_row(name, what)
        output.show(table)
        output.finish({"benches": list(BENCHES)}, next_command="dpmed bench ingest")


@bench.command("ingest")
def bench_ingest(
    source: Annotated[
        Path | None, typer.Argument(help="DICOM to measure with. Default: a generated CT series.")
    ] = None,
    slices: Annotated[int, typer.Option("--slices", min=1, help="Of the generated series, 512 by 512.")] = 300,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of each tool; medians are shown.")] = 3,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Also measure with this many processes.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """De-identify DICOM to DICOM: files per second, dpmed and every other tool that is installed, turn by turn."""
    output = Output("bench", json=json, quiet=quiet, verbose=verbose)
    if source is not None and not source.exists():
        raise NoInputError("the source does not exist", hint="leave it out to measure with a generated series")
    with tempfile.TemporaryDirectory(prefix="dpmed-bench-") as scratch:
        rows = _measured(source or _series(Path(scratch), slices), output, rounds=rounds, workers=workers)
    table = Table("tool", "files", "files/s", "dpmed is faster by")
    for row in rows:
        table.add_row(row.tool, str(row.files), f"{row.files_per_second:.0f}", f"{row.dpmed_is_faster_by:.2f} x")
    output.show(table)
    output.finish({"bench": "ingest", "rounds": rounds, "rows": [asdict(row) for row in rows]})


@bench.command("engine")
def bench_engine(
    cases: Annotated[
        list[str] | None, typer.Argument(metavar="[CASE]...", help="unet-2d, unet-3d, resnet18. Default: all.")
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option("--batch", min=1, help="Patients a step; repeat for several.")
    ] = None,
    images: Annotated[int, typer.Option("--images-per-patient", min=1, help="Peers know one alone.")] = 1,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of each way; medians are shown.")] = 5,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="Of PyTorch; 0 leaves its own choice.")] = 0,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it as PNG, SVG or PDF.")] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Time the sum of clipped gradients: dpmed's engines, Opacus, and the ordinary step, turn by turn."""
    output = Output("bench", json=json, quiet=quiet, verbose=verbose)
    from dpmed.backends.bench import CASES, bench_engines
    from dpmed.backends.open import resolve_device
    from dpmed.core.events import Note, Progress

    unknown = [name for name in cases or () if name not in CASES]
    if unknown or device not in {"cpu", "cuda"}:
        raise ConfigError("there is no such case or device", hint=f"cases {', '.join(CASES)}; --device cpu or cuda")
    resolve_device("cuda" if device == "cuda" else "cpu")
    rows = []
    measuring = bench_engines(
        cases or list(CASES), batches=batch or (), images=images, rounds=rounds, device=device, threads=threads
    )
    with output.progress() as meter:
        for event in measuring:
            if isinstance(event, Progress):
                meter.update(event)
            elif isinstance(event, Note):
                output.say(event.text)
            else:
                rows.append(event)
    table = Table("case", "patients", "way", "ms a step", "of ordinary", "patients/s")
    for row in rows:
        milliseconds, rate = f"{1e3 * row.seconds:.0f}", f"{row.patients_per_second:.1f}"
        table.add_row(row.case, str(row.batch), row.way, milliseconds, f"{row.ratio:.2f} x", rate)
    output.show(table)
    if plot is not None:
        from dpmed.backends.bench_chart import draw

        draw(rows, plot)
    output.finish({"bench": "engine", "rounds": rounds, "rows": [asdict(row) for row in rows]})


def _series(folder: Path, slices: int) -> Path:
    from dpmed.samples import write_ct_series

    write_ct_series(folder / "series", slices=slices)
    return folder / "series"


def _measured(source: Path, output: Output, *, rounds: int, workers: int | None) -> "list[Row]":
    from dpmed.core.events import Progress
    from dpmed.ingest.bench import bench_ingest

    rows = []
    with output.progress() as meter:
        for event in bench_ingest(source, rounds=rounds, workers=workers):
            if isinstance(event, Progress):
                meter.update(event)
            else:
                rows.append(event)
    return rows
