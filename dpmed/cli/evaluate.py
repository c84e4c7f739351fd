"""`dpmed evaluate`: a run's results on patients it has not seen."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Output
from dpmed.core.choices import Device
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
    compare: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Another run to judge on the same patients, with paired tests.")
    ] = None,
    sweep: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Runs of the same recipe at other epsilon: what privacy costs. Repeatable."),
    ] = None,
    smallest_group: Annotated[
        int, typer.Option(metavar="N", help="Groups of fewer patients are not told of; 5 at the least.")
    ] = 10,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Judge a model on patients it has not seen: table, JSON, a page of cases, the model card."""
    output = Output("evaluate", json=json, quiet=quiet, verbose=verbose)
    from dpmed.evaluate import evaluate as run_evaluation
    from dpmed.evaluate.report.page import PAGE
    from dpmed.evaluate.run import PICTURES, RESULTS, results_folder

    folder = RunFolder(run)
    other = None if compare is None else RunFolder(compare)
    events = run_evaluation(
        folder,
        data,
        split=split,
        out=out,
        device=device,
        compare=other,
        sweep=[RunFolder(one) for one in sweep or ()],
        smallest_group=smallest_group,
    )
    evaluation: Evaluation = output.follow(events)
    results = results_folder(folder, split, out)
    output.show(_page(evaluation))
    output.say(f"results and report: {escape(str(results / PAGE))}; to hand on: {escape(str(folder.release))}/")
    places = {
        "evaluation": results / RESULTS,
        "pictures": results / PICTURES,
        "report": results / PAGE,
        "card": folder.card,
    }
    output.finish(
        {"run": str(run), **evaluation.summary(), **{name: str(path) for name, path in places.items()}},
        next_command=f"dpmed epsilon {run}",
    )


def _page(evaluation: "Evaluation") -> Group:
    from dpmed.evaluate import tables, words

    shown: list[RenderableType] = [as_table(*tables.main_table(evaluation), remarks=1)]
    said = (*words.confusions(evaluation), *words.explanations(evaluation))
    shown += ["", *map(escape, said), escape(words.privacy(evaluation.statement))]
    for table in tables.group_tables(evaluation.subgroups, names_sites=True):
        shown += ["", as_table(*table)]
    if below := tables.below_groups(evaluation.subgroups):
        shown += ["", *map(escape, below)]
    if evaluation.comparison is not None:
        shown += ["", as_table(*tables.comparison_table(evaluation.comparison))]
        shown += ["", *map(escape, tables.below_comparison(evaluation.comparison))]
    if evaluation.sweep is not None:
        shown += ["", as_table(*tables.sweep_table(evaluation.sweep))]
    return Group(*shown)


def as_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]], *, remarks: int = 0) -> Table:
    """The first column names a row, the others are numbers, but for the last few, which are remarks."""
    table = Table(title=escape(title), title_justify="left", box=None, padding=(0, 2, 0, 0))
    for place, name in enumerate(head):
        if place == 0:
            table.add_column(name, style="bold")
        elif place < len(head) - remarks:
            table.add_column(name, justify="right", no_wrap=True)
        else:
            table.add_column(name, style="dim")
    for row in rows:
        table.add_row(*map(escape, row))
    return table
