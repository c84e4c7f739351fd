"""The base of every record that is written to disk or passed between rooms."""

import json
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from dpmed.core.errors import MismatchError


class Record(BaseModel):
    """A frozen value; unknown keys are refused, so a typo can never be silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> str:
        """The record as JSON text, indented, ending in a newline."""
        return json.dumps(self.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a record written by `to_json`; damage raises `MismatchError` without quoting the value."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise MismatchError(
                f"a {cls.__name__} file is damaged or of another version: {describe(error)}",
                hint="restore it from a copy, or make it again with the command that wrote it",
            ) from None


def describe(error: ValidationError) -> str:
    """The first problem of a validation error in words, without the offending value (promise 7)."""
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{where}: {first['msg']}"
