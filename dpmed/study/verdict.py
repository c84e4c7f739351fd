"""What may be said of a difference: no more than its interval does."""

from typing import Literal

from dpmed.study.result import Row

Verdict = Literal["helps", "hurts", "no clear difference", "one seed alone"]
ONE_SEED: Verdict = "one seed alone"


def verdict(row: Row) -> Verdict:
    """Whether the gain's interval leaves out 0, and on which side. One seed shows nothing of chance in training."""
    if row.gain_seeds == 1:
        return ONE_SEED
    if row.gain_ci is None or row.gain_ci[0] <= 0 <= row.gain_ci[1]:
        return "no clear difference"
    return "helps" if row.gain_ci[0] > 0 else "hurts"
