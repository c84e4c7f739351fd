"""What a study found, as one record: `study.json`, of which tables, pictures and pages are made."""

from typing import Annotated, Any, Literal

from pydantic import Field

from dpmed.core.manifest import Task
from dpmed.core.record import Record
from dpmed.evaluate.details import Interval
from dpmed.study.plan import CellKey, Setting


class Row(Record):
    """A variant at an epsilon (None: without privacy), over the seeds of which every fold is there.

    `value`: the mean over seeds of the mean over folds; `pooled`: over all patients at once, each judged by the model
    that had not seen them. `gain`: above the base at the same epsilon, on the folds that both have, with at
    least `gain_seeds` on either side; None for the base.
    `epsilon_spent` is the largest that a run's statement says. Times are
    medians: `seconds` of the steps, `cell_seconds` with checks and judging, `cpu_seconds` of the processor in them.
    """

    variant: str
    about: str
    settings: dict[str, Setting]
    init: str | None
    epsilon: float | None
    seeds: int
    folds: int
    value: float
    value_ci: Interval | None
    per_seed: tuple[float, ...]
    pooled: float
    gain: float | None
    gain_ci: Interval | None
    gain_seeds: int
    epsilon_spent: float | None
    noise_multiplier: float
    expected_batch_size: int
    train_patients: int
    steps: int
    seconds: float
    cell_seconds: float
    cpu_seconds: float


class FailedCell(Record):
    """A training that came to nothing in the last call, and why."""

    key: CellKey
    reason: str


class StudyResult(Record):
    """A study: aggregates over patients, without any patient.

    `positives` have the label, or bear tumour. `missing` counts trainings that are not done. `cost` is the epsilon
    that all private runs together would have spent on a patient, by RDP; None without any, or beyond 1,000.
    """

    schema_: Literal["dpmed.study/1"] = Field(default="dpmed.study/1", alias="schema")
    name: str
    file: str
    recipe: str
    title: str
    summary: str
    public: str
    choice: str
    task: Task
    metric: str
    delta: float
    patients: int
    positives: int
    folds: int
    base: str
    rows: tuple[Row, ...]
    cells: int
    private_cells: int
    missing: int
    failed: tuple[FailedCell, ...]
    cost: Annotated[float, Field(ge=0)] | None
    cpu_seconds: float
    machines: tuple[str, ...]
    devices: tuple[str, ...]
    dpmed_versions: tuple[str, ...]

    def to_json(self) -> str:
        """JSON text, with the schema under its public name."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"

    def summary_json(self) -> dict[str, Any]:
        """What `dpmed study run --json` prints."""
        return self.model_dump(mode="json", exclude={"schema_", "dpmed_versions"})
