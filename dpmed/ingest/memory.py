"""Freed memory, given back to the system: the C library keeps it, so that one stage would pay for another.

Everything here asks the C library where it can be asked (glibc), and is nothing elsewhere.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
SMALL, LARGE = 128 * 2**10, 32 * 2**20
"""Bytes of a block that gets pages of its own: as glibc begins, and as it ends once a large block was freed."""


def give_back() -> None:
    """Everything that was freed and is still held."""
    if hasattr(libc := _libc(), "malloc_trim"):
        libc.malloc_trim(0)


def keep() -> None:
    """What was freed, for the next of many equal pictures: to take new pages for each takes a third of its time."""
    if hasattr(libc := _libc(), "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * LARGE)


@contextmanager
def giving_back() -> Iterator[None]:
    """Every block as soon as it is freed. That takes a third longer where many are used, in little more than half."""
    if not hasattr(libc := _libc(), "mallopt"):
        yield
        return
    libc.mallopt(M_MMAP_THRESHOLD, SMALL)
    try:
        yield
    finally:
        keep()


def _libc() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
