"""How a command talks: data on stdout, talk on stderr, one JSON object with --json, progress only on a terminal."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from dpmed import __version__
from dpmed.core.errors import DpmedError, ExitCode
from dpmed.core.events import Note
from dpmed.core.events import Progress as Done


@dataclass(frozen=True)
class Output:
    """The voice of one command."""

    command: str
    json: bool = False
    quiet: bool = False
    verbose: bool = False

    @cached_property
    def talk(self) -> Console:
        """Where remarks go: stderr; silent with --quiet. One console, so that a remark does not tear a live bar."""
        return Console(stderr=True, quiet=self.quiet, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A remark for the user."""
        self.talk.print(text)

    def detail(self, text: str) -> None:
        """A remark for those who asked for --verbose."""
        if self.verbose:
            self.talk.print(text, style="dim")

    def show(self, renderable: RenderableType) -> None:
        """Human-readable result on stdout; nothing with --json."""
        if not self.json:
            Console(highlight=False).print(renderable)

    def text(self, text: str) -> None:
        """Plain text on stdout, to the letter, so that it can be redirected into a file; nothing with --json."""
        if not self.json:
            print(text, end="")

    def finish(self, payload: Mapping[str, Any], *, status: str = "ok", next_command: str = "") -> None:
        """Close the command: the JSON object on stdout with --json, else where to go next."""
        if self.json:
            print(json.dumps(self._envelope(status) | dict(payload), allow_nan=False))
        elif next_command:
            self.say(f"next: [bold]{escape(next_command)}[/bold]")

    def fail(self, error: DpmedError) -> None:
        """One line of cause, one of cure; as JSON too if asked for."""
        talk = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
        was_asked = error.exit_code == ExitCode.INTERRUPTED  # to stop when told to is no error
        talk.print(error.message if was_asked else f"error: {error.message}")
        if error.hint:
            talk.print(f"hint: {error.hint}")
        if self.json:
            status = "partial" if error.exit_code == ExitCode.PARTIAL else "error"
            cause = {"error": error.message, "hint": error.hint, "exit_code": int(error.exit_code)}
            print(json.dumps(self._envelope(status) | cause))

    @contextmanager
    def progress(self) -> Iterator["Meter"]:
        """A live bar with time left, on a terminal only."""
        talk = self.talk
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(*columns, console=talk, disable=self.quiet or not talk.is_terminal, transient=True) as bars:
            yield Meter(bars)

    def follow(self, events: Iterable[Any]) -> Any:
        """Show notes, and progress as bars, while events come; the result, which is the event of another kind."""
        result = None
        with self.progress() as meter:
            for event in events:
                if isinstance(event, Done):
                    meter.update(event)
                elif isinstance(event, Note):
                    self.detail(escape(event.text))
                else:
                    result = event
        return result

    def _envelope(self, status: str) -> dict[str, Any]:
        return {"schema": f"dpmed.{self.command}/1", "status": status, "dpmed_version": __version__}


class Meter:
    """Turns `Progress` events into bars, one per stage."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._stages: dict[str, Any] = {}

    def update(self, event: Done, *, note: str = "") -> None:
        """Move the bar of the event's stage, adding it the first time."""
        if event.what not in self._stages:
            self._stages[event.what] = self._bars.add_task(event.what, total=event.total, note=note)
        self._bars.update(self._stages[event.what], completed=event.done, total=event.total, note=note)
