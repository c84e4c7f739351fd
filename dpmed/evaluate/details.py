"""What stands beside the numbers of a cohort, as values: curves, groups of patients, another run on the same."""

from typing import Annotated

from pydantic import Field

from dpmed.core.record import Record
from dpmed.core.specs import Statement

Interval = tuple[float, float]
Share = Annotated[float, Field(ge=0, le=1)]


class ReliabilityBin(Record):
    """The patients whose probability lies between `low` and `high`: what was said, and what was so."""

    low: Share
    high: Share
    patients: int
    mean_probability: Share
    positive_share: Share
    positive_share_ci: Interval


class Curves(Record):
    """What a plot needs, point by point, so as telling as the patients themselves: for `curator/` alone.

    `roc` holds (1 - specificity, sensitivity), `precision_recall` (recall, precision); empty with one class missing.
    """

    roc: tuple[tuple[Share, Share], ...]
    precision_recall: tuple[tuple[Share, Share], ...]
    reliability: tuple[ReliabilityBin, ...]


class GroupMeasure(Record):
    """One number of a group, and how far it lies from that of all other patients. None where it is not defined."""

    measure: str
    value: float | None
    value_ci: Interval | None
    gap: float | None
    gap_ci: Interval | None


class Group(Record):
    """The patients who share one attribute. Never fewer than the smallest group that may be told."""

    column: str
    value: str
    patients: int
    measures: tuple[GroupMeasure, ...]


class Subgroups(Record):
    """Results by the manifest's attributes. `some_are_too_small` is all that is told of groups under `smallest`.

    `columns` are those of which the manifest knows something.
    """

    smallest: int
    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    some_are_too_small: bool


class Difference(Record):
    """One measure of both runs on the same patients: this run less the other, with a paired interval and test."""

    measure: str
    region: str | None
    this: float
    other: float
    difference: float
    difference_ci: Interval | None
    p: Share | None
    test: str


class Comparison(Record):
    """Another run, judged on the very same patients."""

    run: str
    statement: Statement
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]


class SweepPoint(Record):
    """One run of a sweep: what it promises, None for the run without noise, and how well it does."""

    run: str
    epsilon: float | None
    delta: float
    value: float
    value_ci: Interval | None


class Sweep(Record):
    """Runs of one recipe at different epsilon, judged on the same patients, in order; without a promise last."""

    measure: str
    points: tuple[SweepPoint, ...]
