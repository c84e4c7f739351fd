"""What becomes of an exception: one line of cause, one of cure, an exit code, and never a value (promise 7)."""

import os
import traceback
from pathlib import Path

from typer.exceptions import TyperException

from dpmed.core.errors import ConfigError, DeviceError, DpmedError, ExitCode

OUT_OF_MEMORY = (
    "MemoryError",
    "OutOfMemoryError",
)  # the second is torch's, by name: importing torch would take seconds


def as_failure(error: Exception, command: str) -> DpmedError:
    """The failure to show for any exception that a command let out."""
    if isinstance(error, DpmedError):
        return error
    if isinstance(error, TyperException):
        return ConfigError(_without_typed_words(error.format_message()), hint=f"{command} --help")
    if type(error).__name__ in OUT_OF_MEMORY:
        return DeviceError("out of memory", hint="train with --set hardware.nano_batch=1, or a smaller data.image_size")
    if isinstance(error, OSError) and error.errno is not None:
        return ConfigError(
            f"the system refused: {os.strerror(error.errno)} (at {_where(error)})",
            hint="check that the files and folders you named exist, may be written to and have space",
        )
    return DpmedBug(error)


class DpmedBug(DpmedError):
    """Our own mistake: where it broke, without the values that were there."""

    exit_code = ExitCode.BUG

    def __init__(self, error: Exception) -> None:
        super().__init__(
            f"this is a bug in dpmed: {type(error).__name__} at {_where(error)}",
            hint="report it with this line; it holds no patient data",
        )


def _without_typed_words(message: str) -> str:
    """A surplus argument, or one in a command's place, is mostly a path that fell apart at a space: not repeated."""
    if message.startswith("No such command") and "Did you mean" not in message:
        return "No such command."
    return message.partition(" (")[0] if message.startswith("Got unexpected extra") else message


def _where(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
