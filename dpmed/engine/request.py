"""What the user asked for, and what a run amounts to when it is done."""

from dataclasses import dataclass
from pathlib import Path

from dpmed.core.folders import RunFolder
from dpmed.core.recipe import Recipe
from dpmed.core.specs import Statement


@dataclass(frozen=True)
class TrainRequest:
    """One training run. `seed` governs initialisation and augmentation; `demo_seed` also fixes noise: INVALID.

    `tensorboard` also writes the curves of `curator/metrics.jsonl` for TensorBoard, beside it.
    """

    recipe: Recipe
    data: Path
    run: RunFolder
    seed: int = 0
    demo_seed: int | None = None
    private: bool = True
    resume: bool = False
    init: Path | None = None
    tensorboard: bool = False


@dataclass(frozen=True)
class TrainDone:
    """The end of a run: what was promised, and how fast it went in this process."""

    statement: Statement
    device: str
    engine: str
    steps: int
    patients: int
    seconds: float
    seconds_per_step: float
    patients_per_second: float
    peak_memory_bytes: int
