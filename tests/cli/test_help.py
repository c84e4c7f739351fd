"""The first thing a newcomer sees: quick, complete and in order."""

import subprocess
import sys

import pytest
import typer

from dpmed.cli.main import app, main
from dpmed.core.errors import ExitCode

HEAVY = {
    *("torch", "monai", "opacus", "dp_accounting", "numpy", "scipy"),
    *("sklearn", "matplotlib", "pydicom", "nibabel", "PIL", "psutil"),
}
COMMANDS = [
    *("ingest", "pretrain", "train", "epsilon", "evaluate", "predict", "export"),
    *("demo", "recipes", "doctor", "bench", "study", "reidentify"),
]


def loaded_by(*words: str) -> set[str]:
    """The top-level modules in memory after a command."""
    program = f"import sys; from dpmed.cli.main import main; main({words}); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {module.partition(".")[0] for module in done.stderr.split()}


@pytest.mark.parametrize("words", [["train", "--help"], ["--version"], ["recipes"]], ids=" ".join)
def test_no_heavy_library_is_loaded_to_answer(words):
    assert not loaded_by(*words) & HEAVY


def test_a_missing_sdk_is_told_without_a_heavy_library(monkeypatch):
    monkeypatch.delenv("POPLAR_SDK_ENABLED", raising=False)
    assert not loaded_by("train", "covid-ct-tiny", "--data", "d", "--run", "r", "--device", "ipu") & HEAVY


def test_help_does_not_even_load_the_records():
    assert not loaded_by("--help") & (HEAVY | {"pydantic", "cryptography"})


def test_commands_are_listed_in_the_order_in_which_a_newcomer_meets_them():
    group = typer.main.get_command(app)
    assert group.list_commands(None) == COMMANDS


def test_every_command_has_a_help_text_and_the_three_common_options():
    group = typer.main.get_command(app)
    leaves = {name: group.commands[name] for name in COMMANDS}
    for name in ("recipes", "bench", "study"):
        leaves |= dict(group.commands[name].commands)
    for name, command in leaves.items():
        assert command.help, name
        options = {option for parameter in command.params for option in parameter.opts}
        assert {"--json", "--quiet", "--verbose"} <= options, name
        assert all(parameter.help for parameter in command.params), name


def test_bare_dpmed_shows_the_help(capfd):
    assert main([]) == ExitCode.DONE
    shown, talk = capfd.readouterr()
    assert "Usage: dpmed" in shown
    assert not talk


def test_version_is_one_line(capfd):
    assert main(["--version"]) == ExitCode.DONE
    assert capfd.readouterr().out.startswith("dpmed ")


def test_python_m_dpmed_is_the_same_program():
    done = subprocess.run([sys.executable, "-m", "dpmed", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("dpmed ")
