"""The program: its commands, what becomes of an error, and the exit code."""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from dpmed import __version__
from dpmed.cli.demo import demo
from dpmed.cli.doctor import doctor
from dpmed.cli.epsilon import epsilon
from dpmed.cli.evaluate import evaluate
from dpmed.cli.ingest import ingest
from dpmed.cli.output import Output
from dpmed.cli.recipes import recipes
from dpmed.cli.train import train
from dpmed.core.errors import ConfigError, DpmedError, ExitCode

COMMANDS = {
    "demo": demo,
    "ingest": ingest,
    "train": train,
    "epsilon": epsilon,
    "evaluate": evaluate,
    "doctor": doctor,
}

app = typer.Typer(
    name="dpmed",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Train on your own patients' scans so that no single patient can be picked out of the weights.",
)
for name, command in COMMANDS.items():
    app.command(name)(command)
app.add_typer(recipes, name="recipes")


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
    words = list(sys.argv[1:] if arguments is None else arguments)
    output = Output(next((word for word in words if not word.startswith("-")), "dpmed"), json="--json" in words)
    try:
        return int(app(args=words, prog_name="dpmed", standalone_mode=False) or 0)
    except DpmedError as error:
        output.fail(error)
        return int(error.exit_code)
    except TyperException as error:
        known = output.command in {*COMMANDS, "recipes"}
        hint = f"dpmed {output.command} --help" if known else "dpmed --help"
        output.fail(ConfigError(error.format_message(), hint=hint))
        return int(ExitCode.USAGE)
    except BrokenPipeError:
        return int(ExitCode.DONE)
    except Exception as error:
        output.fail(_our_bug(error))
        return int(ExitCode.BUG)


def _our_bug(error: Exception) -> DpmedError:
    """Where it broke, without the values that were there: those may identify a patient (promise 7)."""
    frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-4:]]
    return DpmedError(
        f"this is a bug in dpmed: {type(error).__name__} at {' < '.join(reversed(frames))}",
        hint="report it with this line; it holds no patient data",
    )
