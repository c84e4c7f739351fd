"""Every failure a user can cause or cure: what happened, what to do next, and the exit code it earns.

Messages never hold an identifier, a patient's path or a pixel value (promise 7): callers name files by
their pseudonym, their position in the input, or not at all.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """The public exit codes of every command (see docs/cli.md)."""

    DONE = 0
    BUG = 1
    USAGE = 2
    NO_INPUT = 3
    PARTIAL = 4
    IDENTIFIERS = 5
    BUDGET = 6
    DEVICE = 7
    MISMATCH = 8
    INTERRUPTED = 130


class DpmedError(Exception):
    """An expected failure: one line of cause, one line of cure."""

    exit_code: ExitCode = ExitCode.USAGE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(DpmedError):
    """A wrong option, recipe key or value."""

    exit_code = ExitCode.USAGE


class NoInputError(DpmedError):
    """Nothing usable was found where the input should be."""

    exit_code = ExitCode.NO_INPUT


class IdentifierError(DpmedError):
    """An identifier would have been written; nothing was."""

    exit_code = ExitCode.IDENTIFIERS


class BudgetError(DpmedError):
    """The privacy budget of a run or a dataset would be passed."""

    exit_code = ExitCode.BUDGET


class DeviceError(DpmedError):
    """The device is missing or failed its self-check."""

    exit_code = ExitCode.DEVICE


class MismatchError(DpmedError):
    """A run folder, ledger, manifest or configuration does not fit the others."""

    exit_code = ExitCode.MISMATCH


class InterruptedRun(DpmedError):
    """The user stopped the work; it can be resumed."""

    exit_code = ExitCode.INTERRUPTED
