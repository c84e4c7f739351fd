"""Data on stdout, talk on stderr, one JSON object with --json, and no moving bar off a terminal."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from dpmed.cli.output import Output
from dpmed.core.events import Progress


def test_talk_goes_to_stderr_and_results_to_stdout(capfd):
    output = Output("train")
    output.say("working")
    output.show("a result")
    output.text("[as it is]\n")
    output.finish({}, next_command="dpmed evaluate runs/[a]")
    assert capfd.readouterr() == ("a result\n[as it is]\n", "working\nnext: dpmed evaluate runs/[a]\n")


def test_json_is_one_object_alone_on_stdout(capfd):
    output = Output("train", json=True)
    output.show("a table")
    output.text("a text")
    output.finish({"epsilon": 1.5}, next_command="dpmed evaluate")
    answer = json.loads(capfd.readouterr().out)
    assert answer["schema"] == "dpmed.train/1"
    assert (answer["status"], answer["epsilon"]) == ("ok", 1.5)


def test_json_never_holds_a_number_that_json_does_not_have():
    with pytest.raises(ValueError, match="JSON"):
        Output("train", json=True).finish({"epsilon": float("nan")})


def test_quiet_leaves_the_result(capfd):
    output = Output("train", quiet=True)
    output.say("working")
    output.detail("and how")
    output.show("a result")
    output.finish({}, next_command="dpmed evaluate")
    assert capfd.readouterr() == ("a result\n", "")


def test_details_are_for_those_who_ask(capfd):
    Output("train").detail("hidden")
    Output("train", verbose=True).detail("shown")
    assert capfd.readouterr().err == "shown\n"


def test_no_bar_moves_off_a_terminal(capfd):
    with Output("train").progress() as meter:
        for done in range(5):
            meter.update(Progress("steps", done, 5), note="epsilon")
    assert capfd.readouterr() == ("", "")


PROGRAM = """
from dpmed.cli.output import Output
from dpmed.core.events import Progress
output = Output("train")
output.say("[bold red]loud[/bold red]")
with output.progress() as meter:
    meter.update(Progress("patients", 3, 7))
    output.say("a remark")
    meter.update(Progress("patients", 4, 7))
"""


def on_a_terminal(**environment: str) -> str:
    """What PROGRAM writes to a terminal."""
    ours, theirs = pty.openpty()
    plain = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=plain | {"TERM": "xterm", "COLUMNS": "120"} | environment,
    )
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 4096):
            written += piece
    except OSError:  # how Linux tells that the other side is gone
        pass
    os.close(ours)
    assert process.wait() == 0
    return written.decode()


def test_on_a_terminal_the_bar_shows_how_far_it_is():
    shown = on_a_terminal()
    assert "patients" in shown
    assert "4/7" in shown
    assert "\ra remark" in re.sub(r"\x1b\[\d*[A-Z]", "", shown), "a remark starts its own line"
    assert "\x1b[1;31mloud" in shown


def test_no_color_is_honoured():
    assert "\x1b[1;31m" not in (shown := on_a_terminal(NO_COLOR="1"))
    assert "loud" in shown
