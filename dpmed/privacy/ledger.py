"""What a run has paid: one hash-chained line per step, on the disk before the weights change (promise 4)."""

from pathlib import Path

from pydantic import ValidationError

from dpmed.core.chain import Chain
from dpmed.core.errors import MismatchError
from dpmed.core.record import describe
from dpmed.core.specs import Entry


class Ledger:
    """The steps of one run, in order and without gaps. Nothing is ever removed from it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._chain = Chain(path)
        try:
            self._entries = [Entry.model_validate(record) for record in self._chain.records]
        except ValidationError as error:
            raise MismatchError(
                f"{path.name} is not a ledger of this version: {describe(error)}", hint="restore it from a backup"
            ) from None
        if [entry.step for entry in self._entries] != list(range(len(self._entries))):
            raise MismatchError(f"{path.name} lacks a step or repeats one", hint="restore it from a backup")

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every paid step."""
        return tuple(self._entries)

    @property
    def is_torn(self) -> bool:
        """Whether a crash cut off a line that was being written."""
        return self._chain.is_torn

    @property
    def head(self) -> str:
        """The digest of the last line."""
        return self._chain.head

    def append(self, entry: Entry) -> str:
        """Pay for the next step; returns when the line is on the disk."""
        if entry.step != len(self._entries):
            raise ValueError("steps are paid for in order")
        head = self._chain.append(entry.model_dump(mode="json"))
        self._entries.append(entry)
        return head

    def holds(self, head: str) -> bool:
        """Whether a digest is that of the start or of any line."""
        return head in self._chain.heads
