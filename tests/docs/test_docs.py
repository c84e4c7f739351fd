"""The documentation says what is so: its commands run, its file map is complete, its links lead somewhere.

Blocks marked `console` are run, in order, one page in one folder; in blocks marked `sh` each command is only parsed.
"""

import re
import shlex
from pathlib import Path

import pytest
import typer

from dpmed.cli.main import app, main
from dpmed.core.errors import ExitCode

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_OURS = {"build", "dist", "runs", "data", "dpmed-demo", "dpmed.egg-info"}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def commands(page: Path, language: str) -> list[list[str]]:
    lines = "\n".join(blocks(page, language)).replace("\\\n", " ").splitlines()
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [one[1:] for one in words if one[:1] == ["dpmed"]]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


SHOWN = [
    pytest.param(words, id=f"{name(page)}: {' '.join(words)}")
    for page in PAGES
    for language in ("sh", "console")
    for words in commands(page, language)
]


@pytest.mark.parametrize("words", SHOWN)
def test_every_command_shown_is_understood(words: list[str]) -> None:
    command = typer.main.get_command(app)
    if words[0].startswith("-"):
        assert words in (["--version"], ["--help"])
        return
    for word in tuple(words):
        if not hasattr(command, "commands") or word not in command.commands:
            break
        command = command.commands[word]
        words = words[1:]
    command.make_context("dpmed", list(words)).close()


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page, "console")], ids=name)
def test_commands_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sample_data").symlink_to(ROOT / "sample_data")
    for words in commands(page, "console"):
        assert main(words) == ExitCode.DONE, words


def test_the_readme_shows_commands_of_both_kinds() -> None:
    assert commands(ROOT / "README.md", "sh")
    assert commands(ROOT / "README.md", "console")


def file_map() -> set[str]:
    text = (ROOT / "README.md").read_text().split("## File map")[1]
    (block,) = re.findall(r"^```text\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return {line.split()[0] for line in block.splitlines()}


def test_the_file_map_lists_exactly_the_rooms_and_the_top_of_the_tree() -> None:
    rooms = {f"dpmed/{path.parent.name}/" for path in (ROOT / "dpmed").glob("*/__init__.py")}
    top = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in ROOT.iterdir()
        if not path.name.startswith(".") and path.name not in NOT_OURS | {"dpmed"}
    }
    assert file_map() == rooms | top


def test_every_exit_code_is_explained() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)} == {*map(int, ExitCode)}


def test_every_command_and_option_is_explained() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    for command in typer.main.get_command(app).commands.values():
        assert f"dpmed {command.name}" in text
        for parameter in command.params:
            for option in (option for option in parameter.opts if option.startswith("--")):
                assert f"`{option}" in text, f"{command.name} {option}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_nothing_is_left_to_be_written(page: Path) -> None:
    assert not re.search(r"TODO|FIXME|XXX|TBD", page.read_text())
