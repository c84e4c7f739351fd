"""Choices that the command line offers too. Apart from the records, so that `--help` need not load pydantic."""

from typing import Literal

Accountant = Literal["pld", "prv", "rdp"]
Device = Literal["auto", "cpu", "cuda", "ipu"]
