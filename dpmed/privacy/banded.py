"""Noise that later steps partly take back: DP-BandMF (Choquette-Choo et al. 2023, arXiv:2306.08153).

Let C be a lower-triangular matrix of `bands` diagonals whose columns have norm 1. In place of white noise Z, one row a
step, the gradients get the rows of C^-1 Z, so that what is released is C^-1 (C G + Z). A patient takes part in every
`bands`-th step at most: the columns of C that belong to the same patient have no row in common, and each step in which
the patient takes part costs what a step of DP-SGD costs. With one band C is the identity, and this is DP-SGD.

Weights are sums of gradients. C is the square root of the matrix that sums them with the optimizer's momentum, cut to
its bands (Fichtenberger et al. 2023, arXiv:2202.11205; Kalinin & Lampert 2024, arXiv:2405.13763): near to the best
there is, and known in closed form.

Noise that was added is as secret as a gradient. It is kept for `bands - 1` steps, in memory alone. A run that is
resumed starts a new C below the old one; the two together are a matrix of as many bands, so that costs no privacy,
only that the noise of the last steps before is not taken back.
"""

from collections import deque
from typing import NoReturn

import numpy as np
from jaxtyping import Float


def square_root(bands: int, *, momentum: float = 0.0) -> Float[np.ndarray, " band"]:
    """The diagonals of C, from the main one down, scaled to a column of norm 1.

    Running sums are the power series 1 / (1 - x), momentum another 1 / (1 - momentum x); both have known square roots.
    """
    steps = np.arange(1, bands)
    root = np.cumprod(np.concatenate([[1.0], (2 * steps - 1) / (2 * steps)]))
    whole = np.convolve(root, root * momentum ** np.arange(bands))[:bands]
    return np.asarray(whole / np.linalg.norm(whole))


class BandedNoise:
    """White noise in, correlated noise out, step after step. It cannot be copied or written to disk."""

    def __init__(self, bands: int, *, momentum: float = 0.0) -> None:
        self._first, *self._rest = square_root(bands, momentum=momentum)
        self._past: deque[np.ndarray] = deque(maxlen=bands - 1)  # the latest step first

    def correlated(self, white: Float[np.ndarray, " weight"]) -> Float[np.ndarray, " weight"]:
        """The next row of C^-1 Z; `white` is that of Z. Solved forwards: C times what was returned so far is Z."""
        row = white.copy()
        for coefficient, past in zip(self._rest, self._past, strict=False):
            row -= coefficient * past
        row /= self._first
        self._past.appendleft(row)
        return row

    def __reduce__(self) -> NoReturn:
        raise TypeError("noise that was added is never copied or written to disk")
