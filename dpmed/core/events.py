"""What a long-running room tells the front door while it works. Only public quantities (promise 7)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of the stage `what` (such as "files", "patients")."""

    what: str
    done: int
    total: int


@dataclass(frozen=True)
class Note:
    """A line for the user."""

    text: str


@dataclass(frozen=True)
class StepDone:
    """One training step was paid for and applied.

    `epsilon` is an upper bound of what is spent so far and `budget` what the whole run will have spent, both None
    without a guarantee. `patients_per_second` counts expected patients: how many were drawn is secret.
    """

    step: int
    steps: int
    epsilon: float | None
    budget: float | None
    seconds: float
    patients_per_second: float
