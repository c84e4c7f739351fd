"""`dpmed evaluate`: a run's results on patients it has not seen."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Output
from dpmed.core.choices import Device
from dpmed.core.events import Note, Progress
from dpmed.core.folders import RunFolder

if TYPE_CHECKING:
    from dpmed.evaluate import Evaluation


def evaluate(
    run: Annotated[Path, typer.Argument(help="The run folder that `dpmed train` wrote.")],
    data: Annotated[Path, typer.Option(help="The dataset folder that `dpmed ingest` wrote.")],
    split: Annotated[Literal["test", "val"], typer.Option(help="Which of its patients; never those trained on.")] = (
        "test"
    ),
    out: Annotated[Path | None, typer.Option(help="Where results and pictures go. Default: the run's curator/.")] = (
        None
    ),
    device: Annotated[Device, typer.Option(help="Where to predict; auto takes cuda if there is one.")] = "auto",
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Judge a model on patients it has not seen: table, JSON, a page of cases, the model card."""
    output = Output("evaluate", json=json, quiet=quiet, verbose=verbose)
    from dpmed.evaluate import evaluate as run_evaluation
    from dpmed.evaluate.run import PICTURES, RESULTS, results_folder

    folder = RunFolder(run)
    evaluation = _follow(run_evaluation(folder, data, split=split, out=out, device=device), output)
    results = results_folder(folder, split, out)
    output.show(_page(evaluation))
    output.say(f"results, cases and model card: {escape(str(results))}/ and {escape(str(folder.card))}")
    places = {"evaluation": results / RESULTS, "pictures": results / PICTURES, "card": folder.card}
    output.finish(
        {"run": str(run), **evaluation.summary(), **{name: str(path) for name, path in places.items()}},
        next_command=f"dpmed epsilon {run}",
    )


def _follow(events: Iterator[Any], output: Output) -> "Evaluation":
    done: Any = None
    with output.progress() as meter:
        for event in events:
            if isinstance(event, Progress):
                meter.update(event)
            elif isinstance(event, Note):
                output.detail(escape(event.text))
            else:
                done = event
    return done  # type: ignore[no-any-return]


def _page(evaluation: "Evaluation") -> Group:
    from dpmed.evaluate import words

    table = Table(title=escape(words.title(evaluation)), title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("measure", style="bold", no_wrap=True)
    table.add_column("result", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("", style="dim")
    for line in words.lines(evaluation):
        table.add_row(*(escape(cell) for cell in line))
    below = [*words.explanations(evaluation), words.privacy(evaluation.statement)]
    return Group(table, "", *(escape(text) for text in below))
