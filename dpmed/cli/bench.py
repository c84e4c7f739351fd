"""`dpmed bench`: how fast this machine does it, next to the alternatives."""

import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.table import Table

from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Output
from dpmed.core.errors import ConfigError, NoInputError

if TYPE_CHECKING:
    from dpmed.core.events import Note, Progress

BENCHES = {
    "ingest": "DICOM to DICOM, files per second",
    "engine": "a private step beside an ordinary one, each gradient engine and Opacus",
    "noise": "secret noise beside noise that can be predicted",
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
    from dpmed.ingest.bench import bench_ingest as measure

    if source is not None and not source.exists():
        raise NoInputError("the source does not exist", hint="leave it out to measure with a generated series")
    with tempfile.TemporaryDirectory(prefix="dpmed-bench-") as scratch:
        measuring = measure(source or _series(Path(scratch), slices), rounds=rounds, workers=workers)
        rows = _rows(measuring, output)
    table = Table("tool", "files", "files/s", "dpmed is faster by")
    for row in rows:
        table.add_row(row.tool, str(row.files), f"{row.files_per_second:.0f}", f"{row.dpmed_is_faster_by:.2f} x")
    output.show(table)
    output.finish({"bench": "ingest", "rounds": rounds, "rows": [asdict(row) for row in rows]})


@bench.command("engine")
def bench_engine(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...", help="unet-2d, unet-3d, resnet18 (these by default), or a shipped recipe."
        ),
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option("--batch", min=1, help="Patients a step; repeat for several.")
    ] = None,
    images: Annotated[
        int,
        typer.Option("--images-per-patient", min=0, help="0: as the recipe has it, else one. Peers know one alone."),
    ] = 0,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of each engine; medians are shown.")] = 5,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="Of PyTorch; 0 leaves its own choice.")] = 0,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it as PNG, SVG or PDF.")] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Time the sum of clipped gradients: dpmed's engines, Opacus, and the ordinary step, turn by turn."""
    output = Output("bench", json=json, quiet=quiet, verbose=verbose)
    from dpmed.backends.bench import bench_engines
    from dpmed.backends.open import resolve_device

    if device not in {"cpu", "cuda"}:
        raise ConfigError(f"no engine can be timed on {device!r}", hint="--device cpu or cuda")
    resolve_device("cuda" if device == "cuda" else "cpu")
    measuring = bench_engines(
        models or (), batches=batch or (), images=images, rounds=rounds, device=device, threads=threads
    )
    rows = _rows(measuring, output)
    table = Table("model", "batch", "engine", "ms", "ratio", "per s", "MiB")
    for row in rows:
        memory = "" if row.peak_memory_bytes is None else f"{row.peak_memory_bytes / 2**20:.0f}"
        batch_shown = str(row.batch) if row.images_per_patient == 1 else f"{row.batch} x {row.images_per_patient}"
        milliseconds, ratio = f"{1e3 * row.seconds_median:.0f}", f"{row.ratio_to_nonprivate:.2f}"
        rate = f"{row.patients_per_second:.1f}"
        table.add_row(row.model, batch_shown, row.engine, milliseconds, ratio, rate, memory)
    output.show(table)
    output.say("batch: patients, times images of each; ratio: to ordinary; per s: patients")
    if plot is not None:
        from dpmed.backends.bench_chart import draw

        draw(rows, plot)
    output.finish({"bench": "engine", "device": device, "rounds": rounds, "rows": [asdict(row) for row in rows]})


@bench.command("noise")
def bench_noise(
    values: Annotated[int, typer.Option(min=1, help="Normals to draw: as many as a network has weights.")] = 5_000_000,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Turns of each generator; medians are shown.")] = 5,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Time the noise: dpmed's, which nobody can predict, beside generators that can be."""
    output = Output("bench", json=json, quiet=quiet, verbose=verbose)
    from dpmed.backends.bench_noise import bench_noise as measure

    rows = _rows(measure(values=values, rounds=rounds), output)
    table = Table("generator", "secure", "ms", "million/s")
    for row in rows:
        secure = "yes" if row.secure else "no"
        table.add_row(row.generator, secure, f"{1e3 * row.seconds_median:.0f}", f"{row.values_per_second / 1e6:.1f}")
    output.show(table)
    output.finish({"bench": "noise", "rounds": rounds, "rows": [asdict(row) for row in rows]})


RowType = TypeVar("RowType")


def _rows(measuring: "Iterable[Progress | Note | RowType]", output: Output) -> list[RowType]:
    """The rows of a measurement, its progress and notes shown as they come."""
    from dpmed.core.events import Note, Progress

    rows = []
    with output.progress() as meter:
        for event in measuring:
            if isinstance(event, Progress):
                meter.update(event)
            elif isinstance(event, Note):
                output.say(event.text)
            else:
                rows.append(event)
    return rows


def _series(folder: Path, slices: int) -> Path:
    from dpmed.samples import write_ct_series

    write_ct_series(folder / "series", slices=slices)
    return folder / "series"
