"""Who takes part in a step: each patient alone decides by a secret coin (Poisson sampling).

A machine of fixed shapes may cut large draws down, at a price that is counted. Nothing else is offered.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from dpmed.privacy.entropy import SecureSource


def poisson_sample(patients: Sequence[str], sample_rate: float, source: SecureSource) -> tuple[str, ...]:
    """The patients of one step, each drawn with probability `sample_rate` independently of all others. Secret.

    The accountants assume exactly this. A shuffled or fixed-size batch would cost far more: one epoch of 1,000
    batches at noise multiplier 0.5 has epsilon of at least 10.0 where Poisson has 3.24 (Chua et al. 2024).

    | case | result |
    |---|---|
    | no coin falls right | an empty tuple; the step still adds noise and counts |
    | `sample_rate` 1 | every patient |
    """
    if not 0 < sample_rate <= 1:
        raise ValueError("sample_rate must be above 0 and at most 1")
    coins = source.uniforms(len(patients))
    return tuple(patient for patient, coin in zip(patients, coins, strict=True) if coin < sample_rate)


def of_turn(patients: Sequence[str], step: int, bands: int) -> tuple[str, ...]:
    """The patients whose group has its turn in a step; all of them with one band.

    A patient's group follows from the pseudonym alone, so that whoever else is there makes no difference to it, as
    add-or-remove-one demands. Groups differ in size by chance; one may be empty.
    """
    return tuple(patient for patient in patients if _group(patient, bands) == step % bands)


def truncated(drawn: Sequence[str], most: int, source: SecureSource) -> tuple[str, ...]:
    """A draw cut down to `most` of its patients, chosen evenly at random (arXiv:2508.15089). Secret.

    | case | result |
    |---|---|
    | no more than `most` | the draw as it is |
    | more | so many of them, in their order |
    """
    if len(drawn) <= most:
        return tuple(drawn)
    chosen = np.argsort(source.uniforms(len(drawn)))[:most]
    return tuple(drawn[index] for index in sorted(chosen))


def _group(patient: str, bands: int) -> int:
    return int.from_bytes(hashlib.sha256(patient.encode()).digest()) % bands
