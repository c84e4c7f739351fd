"""What noise costs: dpmed's, from a cryptographic generator, beside generators that anyone can predict."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from dpmed.core.events import Progress
from dpmed.privacy.entropy import SecureSource


@dataclass(frozen=True)
class NoiseRow:
    """One generator: median seconds for `values` standard normals, and whether it can be predicted."""

    generator: str
    secure: bool
    values: int
    seconds_median: float
    values_per_second: float


def bench_noise(*, values: int, rounds: int) -> Iterator[Progress | NoiseRow]:
    """Draw `values` normals from each generator, turn by turn."""
    ways: dict[str, tuple[bool, Callable[[], object]]] = {
        "dpmed, ChaCha20": (True, lambda: SecureSource.system().normals(values)),
        "numpy, PCG64": (False, lambda: np.random.default_rng().standard_normal(values)),
        "torch, Mersenne twister": (False, lambda: torch.randn(values, dtype=torch.float64)),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for number, (name, (_, draw)) in enumerate(ways.items()):
            began = time.perf_counter()
            draw()
            taken[name].append(time.perf_counter() - began)
            yield Progress("noise", turn * len(ways) + number + 1, rounds * len(ways))
    for name, (secure, _) in ways.items():
        median = statistics.median(taken[name])
        yield NoiseRow(name, secure, values, median, values / median)
