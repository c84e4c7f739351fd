"""Every failure is one line of cause, one of cure and an exit code; and it repeats no value."""

import errno
import json
import logging
import os
import subprocess
import sys
import threading
import warnings

import pytest

from dpmed.cli.failures import as_failure
from dpmed.cli.hush import hushed
from dpmed.cli.main import main
from dpmed.core.errors import BudgetError, ExitCode

SECRET = "DOE^JANE"


@pytest.fixture
def recipes_raise(monkeypatch):
    """Makes `dpmed recipes` raise, as a room might."""

    def prepare(error: BaseException) -> None:
        def raising():
            raise error

        monkeypatch.setattr("dpmed.core.recipe.shipped_recipes", raising)

    return prepare


@pytest.mark.parametrize(
    ("words", "cause", "cure"),
    [
        (["trian"], "Did you mean 'train'", "dpmed --help"),
        (["train", "covid-ct", "--dta", "x"], "--data", "dpmed train --help"),
        (["train"], "recipe", "dpmed train --help"),
        (["train", "covid-ct", "--data", "x", "--run", "y", "--seed", "one"], "--seed", "dpmed train --help"),
        (["train", "covid", "--data", "x", "--run", "y"], "did you mean 'covid-ct'", "dpmed recipes"),
        (["recipes", "shwo"], "Did you mean 'show'", "dpmed recipes --help"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(capfd, words, cause, cure):
    assert main(words) == ExitCode.USAGE
    shown, talk = capfd.readouterr()
    error, hint = talk.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    assert cause in error
    assert cure in hint
    assert not shown


@pytest.mark.parametrize(
    "words",
    [
        [f"/archive/{SECRET}"],
        ["recipes", "list", SECRET],
        ["doctor", SECRET, SECRET],
    ],
    ids=["command", "one", "two"],
)
def test_a_surplus_word_is_not_repeated(capfd, words):
    assert main(words) == ExitCode.USAGE
    assert SECRET not in "".join(capfd.readouterr())


def test_with_json_a_failure_is_one_object_on_stdout(capfd):
    assert main(["train", "covid", "--data", "x", "--run", "y", "--json"]) == ExitCode.USAGE
    answer = json.loads(capfd.readouterr().out)
    assert answer.keys() == {"schema", "status", "dpmed_version", "error", "hint", "exit_code"}
    assert (answer["schema"], answer["status"], answer["exit_code"]) == ("dpmed.train/1", "error", 2)


def test_an_unknown_command_does_not_reach_the_schema(capfd):
    assert main([SECRET, "--json"]) == ExitCode.USAGE
    assert json.loads(capfd.readouterr().out)["schema"] == "dpmed.dpmed/1"


def test_a_failure_of_a_room_keeps_its_code(capfd, recipes_raise):
    recipes_raise(BudgetError("the budget is spent", hint="use another dataset"))
    assert main(["recipes"]) == ExitCode.BUDGET
    assert capfd.readouterr().err == "error: the budget is spent\nhint: use another dataset\n"


def test_our_bug_names_the_place_and_no_value(capfd, recipes_raise):
    recipes_raise(ValueError(SECRET))
    assert main(["recipes", "--json"]) == ExitCode.BUG
    shown, talk = capfd.readouterr()
    assert "ValueError at test_failures.py:" in talk
    assert SECRET not in talk + shown
    assert json.loads(shown)["exit_code"] == ExitCode.BUG


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOTDIR])
def test_what_the_system_refuses_is_no_bug_and_names_no_path(capfd, recipes_raise, number):
    recipes_raise(OSError(number, os.strerror(number), f"/archive/{SECRET}"))
    assert main(["recipes"]) == ExitCode.USAGE
    talk = capfd.readouterr().err
    assert os.strerror(number) in talk
    assert SECRET not in talk


def test_running_out_of_memory_has_a_cure(capfd, recipes_raise):
    import torch

    for error in (MemoryError(SECRET), torch.OutOfMemoryError(SECRET)):
        recipes_raise(error)
        assert main(["recipes"]) == ExitCode.DEVICE
        talk = capfd.readouterr().err
        assert "nano_batch" in talk
        assert SECRET not in talk


def test_a_failure_from_within_another_tells_only_its_own_words(capfd, recipes_raise):
    error = BudgetError("the budget is spent")
    error.__cause__ = ValueError(SECRET)
    recipes_raise(error)
    assert main(["recipes"]) == ExitCode.BUDGET
    assert capfd.readouterr().err == "error: the budget is spent\n"


def test_ctrl_c_is_130_with_a_word_on_how_to_go_on(capfd, recipes_raise):
    recipes_raise(KeyboardInterrupt())
    assert main(["recipes", "--json"]) == ExitCode.INTERRUPTED
    shown, talk = capfd.readouterr()
    assert talk.startswith("interrupted\nhint: ")
    assert json.loads(shown)["exit_code"] == ExitCode.INTERRUPTED


def test_square_brackets_in_a_message_are_shown_as_they_are(capfd, recipes_raise):
    recipes_raise(BudgetError("[bold] is a word", hint="[red]"))
    main(["recipes"])
    assert capfd.readouterr().err == "error: [bold] is a word\nhint: [red]\n"


def test_a_reader_who_closes_the_pipe_is_no_failure():
    command = f"{sys.executable} -m dpmed recipes show covid-ct | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert done.stdout.strip() == "0"


def test_nothing_that_a_library_says_reaches_the_terminal(capfd, monkeypatch):
    def chatter():
        warnings.warn(SECRET, stacklevel=1)
        logging.getLogger("pydicom").warning(SECRET)
        logging.getLogger("anyone").critical(SECRET)
        thread = threading.Thread(target=lambda: 1 / len(SECRET[:0]))
        thread.start()
        thread.join()
        return ()

    monkeypatch.setattr("dpmed.core.recipe.shipped_recipes", chatter)
    assert main(["recipes", "--quiet"]) == ExitCode.DONE
    assert capfd.readouterr().err == ""


def test_hushing_ends_with_the_command():
    before = logging.root.manager.disable, sys.unraisablehook, threading.excepthook
    with pytest.raises(RuntimeError), hushed():
        raise RuntimeError
    assert (logging.root.manager.disable, sys.unraisablehook, threading.excepthook) == before
    with pytest.raises(UserWarning), warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.warn("heard again", stacklevel=1)


def test_a_bug_is_placed_at_its_innermost_frame():
    try:
        [].pop()
    except IndexError as error:
        assert "IndexError at test_failures.py:" in as_failure(error, "dpmed").message
