"""What one training of a study came to: a small file, and whether it still answers what is asked."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from dpmed.core.errors import MismatchError
from dpmed.core.manifest import PatientId
from dpmed.core.recipe import Recipe
from dpmed.core.record import Record
from dpmed.privacy.mechanisms import MechanismRun
from dpmed.study.plan import CellKey


class Asked(Record):
    """All that decides a cell: which it is, the recipe, the weights it starts from, the patients and their images."""

    key: CellKey
    recipe: Recipe
    init_sha256: str | None
    data_sha256: str

    def is_same(self, other: "Asked") -> bool:
        """Whether both ask the same. Machines and words may differ; a key that a recipe leaves out is its default."""
        return self._decisive() == other._decisive()

    def _decisive(self) -> dict[str, Any]:
        return self.model_dump(exclude={"recipe": {"hardware", "name", "summary"}})


class PatientScore(Record):
    """A held-out patient: the probability and the label; or the mean Dice over regions and whether they bear tumour."""

    patient: PatientId
    positive: bool
    score: float


class Cell(Record):
    """One training and its held-out patients: outside every guarantee.

    `metric` is AUROC over patients, or the mean Dice of those who bear tumour. `epsilon` is what the run's statement
    says, None without a promise. `seconds` of the steps alone; `cell_seconds` with all checks and the judging;
    `cpu_seconds` of the processor in them, which other work on the machine does not lengthen.
    """

    schema_: Literal["dpmed.cell/1"] = Field(default="dpmed.cell/1", alias="schema")
    asked: Asked
    dpmed_version: str
    metric: float
    scores: tuple[PatientScore, ...]
    patients: int
    epsilon: float | None
    noise_multiplier: float
    spent: tuple[MechanismRun, ...]
    steps: int
    seconds: float
    cell_seconds: float
    cpu_seconds: float
    device: str
    engine: str
    machine: str

    def to_json(self) -> str:
        """JSON text, with the schema under its public name."""
        return self.model_dump_json(by_alias=True) + "\n"


class StudyFolder:
    """Where a study's results lie."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def cells(self) -> Path:
        """A file for each training."""
        return self.root / "cells"

    @property
    def scratch(self) -> Path:
        """Runs at work; emptied when a study begins."""
        return self.root / "scratch"

    @property
    def runs(self) -> Path:
        """Runs that were asked to be kept."""
        return self.root / "runs"

    @property
    def result(self) -> Path:
        """All of the study in one file."""
        return self.root / "study.json"

    def cell(self, key: CellKey) -> Path:
        """The file of one training."""
        return self.cells / key.variant / f"{key.name}.json"

    def run(self, key: CellKey) -> Path:
        """The run folder of one training, where it is kept."""
        return self.runs / key.variant / key.name

    def found(self, asked: Asked) -> Cell | None:
        """The cell that answers just this; None if there is none, or one of other settings, patients or version."""
        try:
            cell = Cell.from_json(self.cell(asked.key).read_text())
        except (FileNotFoundError, MismatchError):
            return None
        return cell if cell.asked.is_same(asked) else None
