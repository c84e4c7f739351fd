"""The files of an input, in one fixed order: a folder tree, one file, a zip or what a DICOMDIR lists.

Symbolic links are never followed, so an input cannot pull in files from elsewhere; zip members are written under
ordinal names, so a member called `../../x` has nowhere to go.
"""

import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pydicom

from dpmed.core.errors import ConfigError, NoInputError
from dpmed.ingest import limits
from dpmed.ingest.quiet import reading
from dpmed.ingest.reasons import Refused


@dataclass(frozen=True)
class Source:
    """One input file. `name` is its original path inside the input and never leaves memory; `ordinal` counts from 1."""

    path: Path
    name: str
    ordinal: int


@dataclass(frozen=True)
class Inventory:
    """All files of an input and what was passed over."""

    files: tuple[Source, ...]
    links_skipped: int = 0
    missing: int = 0


def inventory(source: Path, *, scratch: Path) -> Inventory:
    """List an input. A zip is unpacked into `scratch`, which the caller removes."""
    if not source.exists():
        raise NoInputError("the source does not exist", hint="check the path after dpmed ingest")
    if source.is_dir():
        return _of_folder(source)
    if zipfile.is_zipfile(source):
        return _of_zip(source, scratch)
    if source.name.upper() == "DICOMDIR":
        return _of_dicomdir(source)
    return Inventory((Source(source, source.name, 1),))


def _of_folder(folder: Path) -> Inventory:
    links: list[int] = []
    try:
        names = sorted(_walk(folder, "", 0, links))
    except PermissionError:
        raise NoInputError("a folder of the source may not be read", hint="ask for permission to read it") from None
    if len(names) > limits.MAX_FILES:
        raise ConfigError(f"the source holds more than {limits.MAX_FILES} files", hint="ingest it in parts")
    files = tuple(Source(folder / name, name, ordinal) for ordinal, name in enumerate(names, start=1))
    return Inventory(files, links_skipped=len(links))


def _walk(folder: Path, prefix: str, depth: int, links: list[int]) -> Iterator[str]:
    if depth > limits.MAX_FOLDER_DEPTH:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                links.append(1)
            elif entry.is_dir():
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", depth + 1, links)
            elif entry.is_file():
                yield prefix + entry.name


def _of_zip(archive: Path, scratch: Path) -> Inventory:
    try:
        with zipfile.ZipFile(archive) as opened:
            members = sorted((info for info in opened.infolist() if _is_plain(info)), key=lambda info: info.filename)
            if len(members) > limits.MAX_ZIP_FILES or sum(info.file_size for info in members) > limits.MAX_ZIP_BYTES:
                raise ConfigError("the zip holds more than the limits against hostile archives", hint="unpack it first")
            return Inventory(tuple(_unpack(opened, info, scratch, n) for n, info in enumerate(members, start=1)))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
        raise NoInputError("the zip is damaged or encrypted", hint="unpack it yourself and give the folder") from None


def _is_plain(info: zipfile.ZipInfo) -> bool:
    mode = info.external_attr >> 16
    return not info.is_dir() and not (mode and stat.S_ISLNK(mode)) and info.file_size <= limits.MAX_FILE_BYTES


def _unpack(opened: zipfile.ZipFile, info: zipfile.ZipInfo, scratch: Path, ordinal: int) -> Source:
    """Write one member under its ordinal. `zipfile` stops at the declared size, which is within the limits."""
    kind = "".join(suffix for suffix in PurePosixPath(info.filename).suffixes[-2:] if suffix in {".nii", ".gz", ".dcm"})
    target = scratch / f"{ordinal}{kind}"
    with opened.open(info) as member, target.open("xb") as file:
        shutil.copyfileobj(member, file)
    return Source(target, info.filename, ordinal)


def _of_dicomdir(index: Path) -> Inventory:
    """The files that a DICOMDIR lists, below its own folder only."""
    try:
        with reading():
            records = pydicom.dcmread(index, specific_tags=["DirectoryRecordSequence"]).DirectoryRecordSequence
            listed = {_listed_name(record) for record in records if record.get("ReferencedFileID")}
    except Refused:
        raise NoInputError("the DICOMDIR cannot be read", hint="give the folder that holds it instead") from None
    names = sorted(name for name in listed if name and _is_inside(index.parent, name))
    files = tuple(Source(index.parent / name, name, ordinal) for ordinal, name in enumerate(names, start=1))
    return Inventory(files, missing=len(listed) - len(files))


def _listed_name(record: pydicom.Dataset) -> str:
    value = record.ReferencedFileID
    parts = [value] if isinstance(value, str) else [str(part) for part in value]
    harmless = all(part not in {"", ".", ".."} and not set(part) & set("/\\:\0") for part in parts)
    return "/".join(parts) if harmless else ""


def _is_inside(folder: Path, name: str) -> bool:
    path = folder
    for part in PurePosixPath(name).parts:
        path = path / part
        if path.is_symlink():
            return False
    return path.is_file()
