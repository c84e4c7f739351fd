"""An append-only file of JSON lines, each sealed by its SHA-256 and naming that of the line before."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dpmed.core.errors import MismatchError
from dpmed.core.files import sync_folder

GENESIS = "0" * 64
PREVIOUS, OWN = "previous", "sha256"


def canonical(record: Mapping[str, Any]) -> str:
    """One-line JSON with sorted keys and no spaces, so that equal records have equal digests."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(record: Mapping[str, Any]) -> str:
    """The SHA-256 of a line without its own seal."""
    return hashlib.sha256(canonical(record).encode()).hexdigest()


class Chain:
    """A hash-chained log on disk.

    Guarantees: `append` returns only after the line is on the disk; a last line cut off by a crash is no record (it was
    never acknowledged), `is_torn` tells, and the next `append` removes it; one that lacks its line end alone counts;
    any other damage, to whichever byte, raises `MismatchError`. Reading changes nothing. `records` are as they were
    given to `append`; `heads` are their digests.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = []
        self.heads: list[str] = [GENESIS]
        self._torn_at: int | None = None
        self._lacks_end = False
        self._read()

    @property
    def is_torn(self) -> bool:
        """Whether a line was begun after the last whole one."""
        return self._torn_at is not None

    @property
    def head(self) -> str:
        """The digest of the last line."""
        return self.heads[-1]

    def append(self, record: Mapping[str, Any]) -> str:
        """Add a record, flush it to the disk and return the new head."""
        linked = {**record, PREVIOUS: self.head}
        head = digest(linked)
        line = canonical({**linked, OWN: head})
        is_new = not self.path.exists()
        self._drop_torn_line()
        with self.path.open("ab") as file:
            self._torn_at = file.tell()  # until the line is whole: a full disk may cut it, and the next one goes there
            file.write((b"\n" if self._lacks_end else b"") + line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._torn_at, self._lacks_end = None, False
        if is_new:
            sync_folder(self.path.parent)
        self.records.append(_unlinked(json.loads(line)))
        self.heads.append(head)
        return head

    def _read(self) -> None:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for number, raw in enumerate(whole.split(b"\n")[:-1], start=1):
            self._take(raw, number)
        tail = content[len(whole) :]
        if tail and self._is_object(tail):
            self._take(tail, len(self.records) + 1)
            self._lacks_end = True
        elif tail:
            self._torn_at = len(whole)

    def _take(self, raw: bytes, number: int) -> None:
        try:
            line = raw.decode()
            record = json.loads(line)
        except (UnicodeDecodeError, json.JSONDecodeError):
            raise self._damaged(number) from None
        if not isinstance(record, dict) or record.get(PREVIOUS) != self.head or canonical(record) != line:
            raise self._damaged(number)
        head = record.pop(OWN, None)
        if head != digest(record):
            raise self._damaged(number)
        self.records.append(_unlinked(record))
        self.heads.append(head)

    @staticmethod
    def _is_object(tail: bytes) -> bool:
        """Whether a last line holds a whole object: a crash leaves the beginning of one. What follows it is damage."""
        try:
            json.JSONDecoder().raw_decode(tail.decode("utf-8", "replace"))
        except json.JSONDecodeError:
            return False
        return True

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


def _unlinked(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in {PREVIOUS, OWN}}
