"""Runs the command itself, and keeps everything that it or its workers say."""

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dpmed.cli.main import main
from dpmed.ingest.pseudonyms import write_key


@dataclass
class Run:
    """One `dpmed ingest`: where it wrote, how it ended, and all that was said, less the paths that we gave it."""

    out: Path
    code: int
    said: str


@dataclass
class _Lines(logging.Handler):
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(logging.DEBUG)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    __hash__ = logging.Handler.__hash__


def ingest(folder: Path, source: Path, *options: str) -> Run:
    """`dpmed ingest` from `source` into a new folder below `folder`."""
    out, key, handler = folder / "out", folder / "key", _Lines()
    # One key for all runs: new names and UIDs are long numbers, and some planted day stands in some of them by chance.
    write_key(key, bytes(range(32)))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with _spoken() as said, warnings.catch_warnings():
            warnings.simplefilter("always")  # a warning that quotes a value must be heard, not raised
            code = main(["ingest", str(source), "--out", str(out), "--key", str(key), *options])
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    text = "\n".join([*said, *handler.lines])
    for ours in (source, out, folder):
        text = text.replace(str(ours), "")
    return Run(out, code, text)


@contextmanager
def _spoken() -> Iterator[list[str]]:
    """What any process of ours writes to stdout and stderr meanwhile, as the operating system sees it."""
    said: list[str] = []
    with tempfile.TemporaryFile("w+b") as file:
        kept = [os.dup(1), os.dup(2)]
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            with open(1, "w", closefd=False) as out, open(2, "w", closefd=False) as err:
                streams, (sys.stdout, sys.stderr) = (sys.stdout, sys.stderr), (out, err)
                try:
                    yield said
                finally:
                    sys.stdout, sys.stderr = streams
        finally:
            for number, descriptor in enumerate(kept, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)
        file.seek(0)
        said.append(file.read().decode("utf-8", "replace"))
