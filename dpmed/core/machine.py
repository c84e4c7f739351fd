"""What this computer has, as far as that can be told without loading a heavy library."""

import os
import platform
import re
import shutil
from importlib import metadata
from pathlib import Path

import psutil

from dpmed.core.record import Record

REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?P<rest>.*)$")
EXTRA = re.compile(r"""extra\s*==\s*["'](?P<extra>[^"']+)["']""")


class Machine(Record):
    """Cores that this process may use, memory and free disk space, and where random numbers come from."""

    system: str
    cores: int
    memory_bytes: int
    memory_available_bytes: int
    disk_free_bytes: int
    entropy: str


class Packages(Record):
    """Installed versions of what dpmed needs (None: missing), and what each optional extra lacks."""

    versions: dict[str, str | None]
    extras_missing: dict[str, tuple[str, ...]]


def machine(folder: Path) -> Machine:
    """What this machine has, with the free space of the disk that `folder` lies on."""
    memory = psutil.virtual_memory()
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=memory.total,
        memory_available_bytes=memory.available,
        disk_free_bytes=shutil.disk_usage(folder).free,
        entropy=_entropy(),
    )


def packages(distribution: str = "dpmed") -> Packages:
    """Versions of the declared requirements, read from the installed metadata alone."""
    needed: dict[str, str | None] = {"python": platform.python_version(), distribution: _version(distribution)}
    extras: dict[str, list[str]] = {}
    for line in _requirements(distribution):
        match = REQUIREMENT.match(line)
        assert match is not None, "a requirement starts with a name"
        extra = EXTRA.search(match["rest"])
        if extra is None:
            needed[match["name"].replace("-", "_")] = _version(match["name"])
        elif _version(match["name"]) is None:
            extras.setdefault(extra["extra"], []).append(match["name"])
    return Packages(versions=needed, extras_missing={name: tuple(lacks) for name, lacks in extras.items()})


def _requirements(distribution: str) -> list[str]:
    try:
        return metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return []


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _entropy() -> str:
    """The system call behind `os.urandom`, once it has shown that it answers."""
    os.urandom(32)
    return "getrandom" if hasattr(os, "getrandom") else "os.urandom"
