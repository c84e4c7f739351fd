"""The tables that the rules are made of, read once per process: PS3.15 E.1-1, the allow-list, terms, words, private.

Every table is a text file beside this one, so that a data-protection officer can read it and a change shows in a diff.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True)
class Rule:
    """One attribute of E.1-1: its class in our report, its Basic Profile action, and what options change."""

    tag: int
    kind: str
    basic: str
    options: Mapping[str, str]


@cache
def table() -> Mapping[int, Rule]:
    """E.1-1 by tag: the Basic Profile of edition 2026c, the options of edition 2024b."""
    content = _standard()
    options: dict[int, dict[str, str]] = {}
    for option, actions in content["options"].items():
        for action, tags in actions.items():
            for tag in tags:
                options.setdefault(_number(tag), {})[option] = action
    return {
        _number(tag): Rule(_number(tag), kind, basic, options.get(_number(tag), {}))
        for kind, tags in content["classes"].items()
        for tag, basic in tags.items()
    }


@cache
def edition() -> str:
    """The edition of PS3.15 that the Basic Profile column follows."""
    return str(_standard()["edition"])


@cache
def allowed() -> Mapping[int, str]:
    """Attributes outside E.1-1 that may stay, with their value representation."""
    lines = (line.split() for line in _lines("allowed.txt"))
    return {_number(tag): vr for tag, vr, _ in lines}


@cache
def terms() -> frozenset[str]:
    """Coded strings that may stay."""
    return frozenset(_lines("terms.txt"))


@cache
def vocabulary() -> frozenset[str]:
    """Words, in lower case, that may stay in descriptions."""
    content = tomllib.loads(_text("vocabulary.toml"))
    return frozenset(word for section in content.values() for word in section["words"].split())


@cache
def safe_private() -> Mapping[str, Mapping[int, str]]:
    """Private attributes that may stay: creator to group and low byte (0x001900_0C as 0x00190C) to representation."""
    found: dict[str, dict[int, str]] = {}
    creator = ""
    for line in _lines("private.txt"):
        if line.startswith("  "):
            place, vr, _ = line.split(maxsplit=2)
            group, low = place.split(",")
            found[creator][int(group, 16) << 8 | int(low, 16)] = vr
        else:
            creator = line
            found[creator] = {}
    return found


@cache
def _standard() -> dict[str, Any]:
    return tomllib.loads(_text("ps315.toml"))


def _text(name: str) -> str:
    return resources.files("dpmed.ingest.rules").joinpath(name).read_text(encoding="utf-8")


def _lines(name: str) -> Iterator[str]:
    return (line.rstrip() for line in _text(name).splitlines() if line.strip() and not line.startswith("#"))


def _number(tag: str) -> int:
    return int(tag.replace(",", ""), 16)
