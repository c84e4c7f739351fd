"""Peak memory of a piece of work is what it held at once, not what earlier work left behind."""

import pytest

from dpmed.backends.peak import RESET, peak_bytes

MIB = 2**20
linux = pytest.mark.skipif(not RESET.exists(), reason="the system does not tell")


@linux
def test_memory_that_is_held_is_counted_and_what_came_before_is_not():
    peak_bytes(lambda: bytearray(64 * MIB), "cpu")
    peak = peak_bytes(lambda: bytearray(16 * MIB), "cpu")
    assert 15 * MIB < peak < 32 * MIB  # the system counts in groups of pages


@linux
def test_work_that_holds_nothing_costs_nothing():
    assert peak_bytes(lambda: None, "cpu") < 4 * MIB
