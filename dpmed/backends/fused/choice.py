"""Which of several ways to the same numbers is fastest here: measured once for each layer and shape, then kept."""

import time
from collections.abc import Callable, Hashable
from typing import TypeVar

import torch

Value = TypeVar("Value")
ROUNDS = 4
"""The first pays for what libraries set up; the quickest of the others counts: a busy machine only ever adds."""


class Chooser:
    """Remembers the fastest way for each case. The result never depends on the choice, beyond float rounding."""

    def __init__(self) -> None:
        self.chosen: dict[Hashable, str] = {}
        self.plans: dict[Hashable, tuple[str, int]] = {}
        """What a layer made of it for one size of chunk: a way, and for how many patients at once."""

    def fastest(self, case: Hashable, ways: dict[str, Callable[[], object]]) -> str:
        """The name of the way that takes least time; `ways` do their work on the data at hand."""
        if case not in self.chosen:
            spent = {name: _seconds(way) for name, way in ways.items()} if len(ways) > 1 else dict.fromkeys(ways, 0.0)
            self.chosen[case] = min(spent, key=lambda name: spent[name])
        return self.chosen[case]


def _seconds(way: Callable[[], object]) -> float:
    spent = []
    for _ in range(ROUNDS):
        _wait()
        began = time.perf_counter()
        way()
        _wait()
        spent.append(time.perf_counter() - began)
    return min(spent[1:])


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
