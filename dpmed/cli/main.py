"""The program: its commands, and the one place where a failure becomes words and an exit code."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dpmed import __version__
from dpmed.cli.bench import bench
from dpmed.cli.demo import demo
from dpmed.cli.doctor import doctor
from dpmed.cli.epsilon import epsilon
from dpmed.cli.evaluate import evaluate
from dpmed.cli.export import export
from dpmed.cli.failures import as_failure
from dpmed.cli.hush import hushed
from dpmed.cli.ingest import ingest
from dpmed.cli.output import Output
from dpmed.cli.predict import predict
from dpmed.cli.pretrain import pretrain
from dpmed.cli.recipes import recipes
from dpmed.cli.reidentify import reidentify
from dpmed.cli.study import study
from dpmed.cli.train import train
from dpmed.core.errors import ExitCode, InterruptedRun

WORK: dict[str, Callable[..., Any]] = {
    "ingest": ingest,
    "pretrain": pretrain,
    "train": train,
    "epsilon": epsilon,
    "evaluate": evaluate,
    "predict": predict,
    "export": export,
}
AROUND: dict[str, Callable[..., Any] | typer.Typer] = {
    "demo": demo,
    "recipes": recipes,
    "doctor": doctor,
    "bench": bench,
    "study": study,
    "reidentify": reidentify,
}


class InOrder(TyperGroup):
    """Lists its commands in the order in which a newcomer meets them; typer would put groups last."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands."""
        return sorted(super().list_commands(ctx), key=[*WORK, *AROUND].index)


app = typer.Typer(
    name="dpmed",
    cls=InOrder,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Train on your own patients' scans so that no single patient can be picked out of the weights.",
    epilog="Start with: dpmed demo",
)
for name, command in WORK.items():
    app.command(name, rich_help_panel="From scans to a model")(command)
for name, extra in AROUND.items():
    if isinstance(extra, typer.Typer):
        app.add_typer(extra, name=name, rich_help_panel="Around it")
    else:
        app.command(name, rich_help_panel="Around it")(extra)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"dpmed {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; every failure ends in one line of cause and one of cure."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    known = words[0] in WORK or words[0] in AROUND
    output = Output(words[0] if known else "dpmed", json="--json" in words)
    with hushed():
        return _leave(_run(words, output, prefix=f"dpmed {words[0]}" if known else "dpmed"))


def _run(words: list[str], output: Output, *, prefix: str) -> int:
    try:
        code = int(app(args=words, prog_name="dpmed", standalone_mode=False) or 0)
    except SystemExit:  # typer's answer to a reader who closed the pipe: they have seen enough
        return int(ExitCode.DONE)
    except Exception as error:
        failure = as_failure(error, prefix)
        output.fail(failure)
        return int(failure.exit_code)
    if code == ExitCode.INTERRUPTED:  # typer's answer to Ctrl-C where no command minds it
        output.fail(InterruptedRun("interrupted", hint="nothing was left half done; type the same command again"))
    return code


def _leave(code: int) -> int:
    """Flush now, so that a pipe closed by its reader is not reported by the interpreter on its way out."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code
