"""What is already done, so that an interrupted ingest goes on: keyed digests and outcomes, no original name."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from dpmed.core.chain import Chain
from dpmed.core.errors import ConfigError, MismatchError
from dpmed.core.record import Record

Outcome = TypeVar("Outcome", bound=Record)
NAME = ".ingest-journal"
ALONE = frozenset({"scrub-report.json", "scrub-report.html", "quarantine"})
"""All that is left of an ingest that made no dataset; the next one may use the folder."""
ASIDE = ".tmp-*"


class Journal(Generic[Outcome]):
    """The finished jobs of an ingest in progress, by fingerprint. Removed when the manifest is written."""

    def __init__(self, out: Path, outcome: type[Outcome], *, settings: str) -> None:
        self._path = out / NAME
        self._chain = Chain(self._path)
        if not self._chain.records:
            self._chain.append({"settings": settings})
        elif self._chain.records[0].get("settings") != settings:
            raise MismatchError(
                "the interrupted ingest had another key, profile, format, task, label scheme or source",
                hint="repeat its options with --resume, or choose a new --out folder",
            )
        self._done = {
            record["job"]: outcome.model_validate(record["outcome"])
            for record in self._chain.records
            if "job" in record
        }

    def outcome(self, fingerprint: str) -> Outcome | None:
        """What became of a job in an earlier run, if its input is unchanged."""
        return self._done.get(fingerprint)

    def add(self, fingerprint: str, outcome: Outcome) -> None:
        """Remember a finished job; on the disk before this returns."""
        self._chain.append({"job": fingerprint, "outcome": outcome.model_dump(mode="json")})

    def remove(self) -> None:
        """The ingest is complete."""
        self._path.unlink(missing_ok=True)


def require_fresh(out: Path, *, resume: bool) -> None:
    """Refuse to write into a folder that holds anything, unless it is an interrupted ingest and `resume` is asked."""
    if not out.exists():
        return
    if not out.is_dir():
        raise ConfigError("--out is a file", hint="choose a new folder")
    held = {entry.name for entry in out.iterdir()}
    if held <= ALONE:  # nothing, or the report of an ingest in which all was held back
        return
    if NAME in held and resume:
        return
    if NAME in held:
        raise ConfigError("--out holds an interrupted ingest", hint="go on with --resume, or choose a new folder")
    if "manifest.json" in held and resume:
        raise ConfigError("this ingest is already complete", hint="choose a new --out folder to ingest again")
    raise ConfigError("--out is not empty", hint="choose a new folder; datasets are never overwritten")


def is_interrupted(out: Path) -> bool:
    """Whether the folder holds an ingest that did not come to its end."""
    return (out / NAME).exists()


def clear_half_written(out: Path) -> None:
    """Remove what a killed run left half written, and the report of one that made nothing."""
    if not is_interrupted(out):
        shutil.rmtree(out / "quarantine", ignore_errors=True)
        for name in ALONE - {"quarantine"}:
            (out / name).unlink(missing_ok=True)
    for leftover in (*out.glob(ASIDE), *(out / "images").rglob(ASIDE), *(out / "labels").glob(ASIDE)):
        leftover.unlink()


def remove_empty(out: Path) -> None:
    """Remove the folders of a dataset that came to nothing."""
    for folder in (out / "images", out / "labels", out):
        with suppress(OSError):  # not there, or not empty: then it is not ours to remove
            folder.rmdir()
