"""`dpmed study`: many trainings of one question, and the page of what they found."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from dpmed.cli.evaluate import as_table
from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Output
from dpmed.cli.stopping import stoppable
from dpmed.core.errors import ExitCode

if TYPE_CHECKING:
    from dpmed.study.result import StudyResult
    from dpmed.study.run import Planned

study = typer.Typer(help="Train variants of a recipe over epsilons, seeds and folds, and say what they gain.")


@study.callback(invoke_without_command=True)
def bare(context: typer.Context, json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Train variants of a recipe over epsilons, seeds and folds, and say what they gain."""
    if context.invoked_subcommand is None:
        output = Output("study", json=json, quiet=quiet, verbose=verbose)
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        table.add_row("run", "train what a study file asks for, and add it up")
        table.add_row("page", "write the page of one or more studies")
        output.show(table)
        output.finish({"commands": ["run", "page"]}, next_command="dpmed study run STUDY.toml --data DIR --out DIR")


@study.command("run")
def run(
    file: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="Variants, epsilons, seeds and folds.")],
    data: Annotated[Path, typer.Option(help="The dataset folder that `dpmed ingest` wrote.")],
    out: Annotated[Path, typer.Option(help="Where results go; what is there already is not trained again.")],
    workers: Annotated[int | None, typer.Option(min=1, help="Trainings at a time. Default: one for each core.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="VARIANT", help="Train these variants alone; repeatable.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep every run's folder, with its weights.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be trained, train nothing.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train every variant at every epsilon, with every seed and fold; going on where it was stopped."""
    output = Output("study", json=json, quiet=quiet, verbose=verbose)
    from dpmed.study.plan import load_study
    from dpmed.study.run import StudyRequest, plan, run_study

    request = StudyRequest(load_study(file), data, out, workers, tuple(only or ()), keep)
    if dry_run:
        _show_plan(output, plan(request))
        return
    with stoppable():
        result: StudyResult = output.follow(run_study(request))
    _show(output, result, out)
    if result.failed:
        raise typer.Exit(int(ExitCode.PARTIAL))


@study.command("page")
def page(
    studies: Annotated[list[Path], typer.Argument(metavar="OUT...", help="Folders that `dpmed study run` wrote.")],
    to: Annotated[Path, typer.Option(metavar="FILE.md", help="The page; its pictures go beside it.")],
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write the results of studies as one Markdown page, what did not help included."""
    output = Output("study", json=json, quiet=quiet, verbose=verbose)
    from dpmed.study.page import write_page

    pictures = write_page(studies, to)
    output.say(f"written: {escape(str(to))} and {len(pictures)} pictures beside it")
    output.finish({"page": str(to), "pictures": list(pictures)})


def _show_plan(output: Output, planned: "Planned") -> None:
    counts: dict[str, int] = {}
    for task in planned.tasks:
        counts[task.asked.key.variant] = counts.get(task.asked.key.variant, 0) + 1
    table = Table("variant", "trainings to do", title="nothing was trained", title_justify="left")
    for name, count in counts.items():
        table.add_row(escape(name), str(count))
    output.show(table)
    there = {"trainings": len(planned.asked), "there": len(planned.found), "to_do": len(planned.tasks)}
    output.say(f"{there['there']} of {there['trainings']} trainings are there, {there['to_do']} to do")
    output.finish({**there, "variants": counts})


def _show(output: Output, result: "StudyResult", out: Path) -> None:
    from dpmed.study import tables

    for table in (tables.frontier_table(result), tables.gains_table(result), tables.other_table(result)):
        if table.rows:
            output.show(as_table(*table))
    for one in result.failed:
        output.say(f"failed: {escape(str(one.key))}: {escape(one.reason)}")
    status = "partial" if result.failed else "ok"
    next_command = f"dpmed study page {out} --to {result.name}.md"
    output.finish({"out": str(out), **result.summary_json()}, status=status, next_command=next_command)
