"""`dpmed demo`: both tasks on generated scans, through the same commands that a user types."""

import io
import shlex
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from json import loads
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Output
from dpmed.core.errors import ConfigError, DpmedError, ExitCode
from dpmed.core.folders import RunFolder

CHESTS, BRAINS = 96, 56
"""Patients of each task: enough to learn something in spite of the noise, few enough for a minute or two."""

Out = Annotated[Path, typer.Option(help="Where to put sample scans, datasets and runs.")]


@dataclass(frozen=True)
class Task:
    """One of the two stories that the demo tells."""

    name: str
    title: str
    recipe: str
    ingest: tuple[str, ...]
    train: tuple[str, ...]


TASKS = (
    Task(
        name="covid-ct",
        title="Does this chest CT show COVID-19? A classifier, from DICOM",
        recipe="covid-ct-tiny",
        ingest=("--task", "covid-ct", "--labels", "labels.csv"),
        train=("--set", "privacy.expected_batch_size=48"),
    ),
    Task(
        name="brats",
        title="Where is the brain tumour? A U-Net, from NIfTI",
        recipe="brats-tiny",
        ingest=("--task", "brats", "--label-scheme", "brats"),
        train=("--set", "privacy.expected_batch_size=32"),
    ),
)


def demo(out: Out = Path("dpmed-demo"), json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """See it work: ingest, train, epsilon and evaluate on generated scans, in a minute or two."""
    output = Output("demo", json=json, quiet=quiet, verbose=verbose)
    began = time.monotonic()
    folder = _fresh(out)
    output.say(f"[bold]Generating scans of invented patients[/bold] in {folder / 'sample_data'}")
    _write_samples(folder / "sample_data")
    talk = [flag for flag, wanted in (("--quiet", quiet), ("--verbose", verbose)) if wanted]
    results = {task.name: _tell(task, folder, output, talk) for task in TASKS}
    output.say("\n[bold]What was promised to each patient[/bold]")
    _show_statements(folder, output)
    output.say("\n[bold]What to try next[/bold]")
    for line in _ideas(folder):
        output.say(f"  {line}")
    output.finish({"out": str(folder), "seconds": time.monotonic() - began, "tasks": results})


def _fresh(out: Path) -> Path:
    """`out` if nothing is there yet, else the first free numbered folder in it: an earlier demo is left as it was."""
    if out.exists() and not out.is_dir():
        raise ConfigError("--out is a file, not a folder", hint="dpmed demo --out dpmed-demo")
    if not out.exists() or not any(out.iterdir()):
        return out
    return next(folder for number in range(2, 10_000) if not (folder := out / str(number)).exists())


def _write_samples(folder: Path) -> None:
    from dpmed.samples import write_brats, write_covid_ct

    write_covid_ct(folder / "covid-ct", patients=CHESTS)
    write_brats(folder / "brats", patients=BRAINS)


def _tell(task: Task, folder: Path, output: Output, talk: Sequence[str]) -> dict[str, Any]:
    """The four commands of one task; their JSON with --json, else what they print."""
    output.say(f"\n[bold]{task.title}[/bold]")
    source, data, run = (folder / kind / task.name for kind in ("sample_data", "data", "runs"))
    ingest = [str(source / word) if word.endswith(".csv") else word for word in task.ingest]
    commands: dict[str, list[str]] = {
        # Generated scans have neither text in their pixels nor faces, and looking would take longer than all the rest.
        "ingest": ["ingest", str(source), *ingest, "--pixels", "ignore", "--faces", "ignore", "--out", str(data)],
        "train": ["train", task.recipe, *task.train, "--data", str(data), "--run", str(run)],
        "epsilon": ["epsilon", str(run)],
        "evaluate": ["evaluate", str(run), "--data", str(data)],
    }
    return {name: _type([*words, *talk], output) for name, words in commands.items()}


def _type(words: list[str], output: Output) -> dict[str, Any]:
    """Run one command line as if the user had typed it, in this process."""
    from dpmed.cli.main import app

    output.say(f"\n[bold green]$[/bold green] [bold]dpmed {escape(shlex.join(words))}[/bold]")
    answer = io.StringIO()
    if output.json:
        with redirect_stdout(answer):
            code = app(args=[*words, "--json"], prog_name="dpmed", standalone_mode=False)
    else:
        code = app(args=words, prog_name="dpmed", standalone_mode=False)
    if code:
        failure = DpmedError(f"dpmed {words[0]} ended with exit code {code}", hint="its own message is above")
        failure.exit_code = ExitCode(code)
        raise failure
    return dict(loads(answer.getvalue())) if output.json else {}


def _show_statements(folder: Path, output: Output) -> None:
    """What a patient in either dataset was promised, in the words of the statement."""
    from rich.panel import Panel

    from dpmed.core.specs import Statement

    for task in TASKS:
        statement = Statement.from_json(RunFolder(folder / "runs" / task.name).statement.read_text())
        output.show(Panel(statement.words, title=f"privacy statement: {task.name}", title_align="left"))


def _ideas(folder: Path) -> tuple[str, ...]:
    data, run = folder / "data" / "covid-ct", folder / "runs" / "covid-ct"
    return (
        f"dpmed train covid-ct-tiny --data {data} --run {folder / 'runs' / 'without'} --non-private",
        f"dpmed evaluate {run} --data {data} --compare {folder / 'runs' / 'without'}    what privacy costs",
        f"ls {run / 'release'}    what may leave the hospital",
        f"cat {data / 'scrub-report.json'}    what was removed from the headers",
        "dpmed recipes show covid-ct    every setting of a real run",
        "dpmed ingest YOUR_SCANS --labels LABELS.csv --task covid-ct --out data/yours    your own scans",
    )
