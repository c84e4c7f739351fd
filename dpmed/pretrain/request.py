"""What is asked of a pretraining, and what it answers."""

from dataclasses import dataclass
from pathlib import Path

from dpmed.core.choices import Pretraining
from dpmed.core.recipe import Recipe
from dpmed.core.seen import Seen


@dataclass(frozen=True)
class PretrainRequest:
    """Weights to make in `out`. `data` is a dataset that the user declares public; None: generated phantoms."""

    recipe: Recipe
    out: Path
    data: Path | None = None
    init: Path | None = None
    seed: int = 0
    method: Pretraining = "supervised"


@dataclass(frozen=True)
class PretrainDone:
    """The last event: what was written beside the weights, and how long it took."""

    seen: Seen
    seconds: float
