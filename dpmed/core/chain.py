"""An append-only file of JSON lines, each naming the SHA-256 of the line before: history nobody edits quietly."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dpmed.core.errors import MismatchError
from dpmed.core.files import sync_folder

GENESIS = "0" * 64


def digest(line: str) -> str:
    """The SHA-256 of one line without its newline."""
    return hashlib.sha256(line.encode()).hexdigest()


def canonical(record: Mapping[str, Any]) -> str:
    """One-line JSON with sorted keys and no spaces, so that equal records have equal digests."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)


def without_link(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as it was given to `Chain.append`."""
    return {key: value for key, value in record.items() if key != "previous"}


class Chain:
    """A hash-chained log on disk.

    Guarantees: `append` returns only after the line is on the disk; a last line cut off by a crash does not count (it
    was never acknowledged) and is removed by the next `append`; any other damage raises `MismatchError`. Reading
    changes nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = []
        self.head = GENESIS
        self._torn_at: int | None = None
        self._read()

    def append(self, record: Mapping[str, Any]) -> str:
        """Add a record, flush it to the disk and return the new head."""
        line = canonical({**record, "previous": self.head})
        is_new = not self.path.exists()
        self._drop_torn_line()
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(self.path.parent)
        self.records.append(json.loads(line))
        self.head = digest(line)
        return self.head

    def _read(self) -> None:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for number, raw in enumerate(whole.split(b"\n")[:-1], start=1):
            self._take(raw, number)
        if len(whole) != len(content):
            self._torn_at = len(whole)

    def _take(self, raw: bytes, number: int) -> None:
        try:
            line = raw.decode()
            record = json.loads(line)
        except (UnicodeDecodeError, json.JSONDecodeError):
            raise self._damaged(number) from None
        if not isinstance(record, dict) or record.get("previous") != self.head or canonical(record) != line:
            raise self._damaged(number)
        self.records.append(record)
        self.head = digest(line)

    def _drop_torn_line(self) -> None:
        if self._torn_at is None:
            return
        with self.path.open("r+b") as file:
            file.truncate(self._torn_at)
            file.flush()
            os.fsync(file.fileno())
        self._torn_at = None

    def _damaged(self, number: int) -> MismatchError:
        return MismatchError(
            f"{self.path.name} is damaged at line {number}: its hash chain is broken",
            hint="restore the file from a backup; a ledger that was changed cannot prove what was spent",
        )
