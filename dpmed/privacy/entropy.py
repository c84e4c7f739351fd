"""Randomness that nobody can predict: a ChaCha20 keystream keyed by the operating system (RFC 8439).

Sampling and noise draw from here and from nowhere else; `--seed` never reaches it (promise 3).
"""

import hashlib
import os
from typing import NoReturn, Self

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

KEY_BYTES = 32
BLOCK = 1 << 20


class SecureSource:
    """A stream of random numbers that is used up once and cannot be written to disk.

    Guarantees: two sources of `system` are independent; a source cannot be copied, pickled or rewound.
    """

    def __init__(self, key: bytes) -> None:
        self._keystream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()

    @classmethod
    def system(cls) -> Self:
        """A new source, keyed by the operating system."""
        return cls(os.urandom(KEY_BYTES))

    @classmethod
    def fixed(cls, seed: int, purpose: str) -> Self:
        """A predictable source for `--demo-seed`: whoever knows the seed can subtract the noise. Never private."""
        return cls(hashlib.sha256(f"dpmed demo seed {seed} for {purpose}".encode()).digest())

    def bytes(self, count: int) -> bytes:
        """The next `count` bytes of the stream."""
        return self._keystream.update(bytes(count))

    def uniforms(self, count: int) -> np.ndarray:
        """`count` float64 numbers, evenly spread over the open interval (0, 1) on a grid of 2^-53."""
        words = np.frombuffer(self.bytes(8 * count), dtype="<u8")
        return ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53

    def normals(self, count: int) -> np.ndarray:
        """`count` independent float64 standard normals.

        Each is the scaled sum of two Box-Muller draws: an attacker who inverts one floating-point draw to rule out
        neighbouring values faces the sum of two instead (Holohan & Braghin 2021, Mironov 2012).
        """
        result = np.empty(count)
        for start in range(0, count, BLOCK):  # in blocks, so that memory does not grow with the model
            part = result[start : start + BLOCK]
            part[:] = (self._box_muller(part.size) + self._box_muller(part.size)) * np.sqrt(0.5)
        return result

    def _box_muller(self, count: int) -> np.ndarray:
        half = (count + 1) // 2
        radius = np.sqrt(-2.0 * np.log(self.uniforms(half)))
        angle = 2.0 * np.pi * self.uniforms(half)
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]

    def __reduce__(self) -> NoReturn:
        raise TypeError("a source of randomness is never copied or written to disk")
