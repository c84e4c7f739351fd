"""The demo: all of dpmed, end to end, on scans whose every identifier is known."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from dpmed.cli import demo as the_demo
from dpmed.cli.main import main
from dpmed.core.errors import ExitCode
from dpmed.core.folders import RELEASE_FILES, RunFolder
from dpmed.core.specs import Statement
from dpmed.samples import PLANTED

TASKS = ("covid-ct", "brats")


class Story(NamedTuple):
    folder: Path
    code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The demo as a user runs it, once, in a process of its own."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    command = [sys.executable, "-m", "dpmed", "demo", "--out", str(folder), "--json", "--verbose"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Story(folder, done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
def test_the_demo_runs_both_tasks_through_all_four_commands(story: Story) -> None:
    assert story.code == ExitCode.DONE, story.stderr
    answer = json.loads(story.stdout)
    assert answer["schema"] == "dpmed.demo/1"
    assert set(answer["tasks"]) == set(TASKS)
    for task, commands in answer["tasks"].items():
        assert [one["schema"] for one in commands.values()] == [
            f"dpmed.{name}/1" for name in ("ingest", "train", "epsilon", "evaluate")
        ]
        assert all(one["status"] == "ok" for one in commands.values())
        assert commands["epsilon"]["epsilon"] == pytest.approx(commands["train"]["epsilon"])
        assert commands["epsilon"]["valid"], task


@pytest.mark.slow
def test_no_planted_identifier_is_in_any_byte_the_demo_writes(story: Story, leaks) -> None:
    written = [path for room in ("data", "runs") for path in sorted((story.folder / room).rglob("*"))]
    texts = [story.stdout.encode(), story.stderr.encode()]
    for path in written:
        texts.append(str(path.relative_to(story.folder)).encode())
        if path.is_file():
            content = path.read_bytes()
            texts.append(content)
            if path.suffix == ".gz":
                texts.append(gzip.decompress(content))
    everything = b"\0".join(texts).lower()
    assert len(written) > 50
    # The rest is pixels, which a thousand searches would take minutes to go through.
    printable = b"\0".join(re.findall(rb"[\x20-\x7e]{5,}", everything))
    assert not leaks([word for word in PLANTED if word.isascii()], printable)
    assert not leaks([word for word in PLANTED if not word.isascii()], everything)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_run_of_the_demo_releases_only_what_may_leave(story: Story, task: str) -> None:
    run = RunFolder(story.folder / "runs" / task)
    assert {path.name for path in run.release.iterdir()} <= RELEASE_FILES
    assert Statement.from_json(run.statement.read_text()).valid


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines of a demo that only pretends."""
    lines: list[list[str]] = []
    monkeypatch.setattr(the_demo, "_write_samples", lambda folder: folder.mkdir(parents=True))
    monkeypatch.setattr(the_demo, "_type", lambda words, output: lines.append(words) or {})
    monkeypatch.setattr(the_demo, "_show_statements", lambda folder, output: None)
    return lines


def test_another_demo_leaves_the_first_as_it_was(tmp_path: Path, typed: list[list[str]]) -> None:
    for _ in range(3):
        assert main(["demo", "--out", str(tmp_path), "--quiet"]) == ExitCode.DONE
    folders = [words[words.index("--out") + 1] for words in typed if words[0] == "ingest"]
    assert folders == [str(tmp_path / place / "data" / task) for place in ("", "2", "3") for task in TASKS]


def test_every_line_the_demo_types_is_understood(tmp_path: Path, typed: list[list[str]]) -> None:
    assert main(["demo", "--out", str(tmp_path), "--verbose"]) == ExitCode.DONE
    assert [words[0] for words in typed] == ["ingest", "train", "epsilon", "evaluate"] * 2
    from dpmed.cli.main import app

    for words in typed:
        typer.main.get_command(app).commands[words[0]].make_context("dpmed", words[1:]).close()


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert main(["demo", "--out", str(tmp_path / "file")]) == ExitCode.USAGE


def test_a_command_that_fails_ends_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(the_demo, "_write_samples", lambda folder: None)
    assert main(["demo", "--out", str(tmp_path / "new")]) == ExitCode.NO_INPUT
