"""Files that are either old or new, never half: written aside, flushed, then renamed."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_aside(path: Path, *, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success flush it and rename it onto `path`.

    The temporary name keeps the suffixes of `path` (writers that choose a format by suffix work), starts with a dot
    and is removed if the body raises. File and folder are fsynced, so a crash leaves the old file or the new one. Until
    it is whole, only its owner may read it; then `mode` holds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".tmp-", suffix="".join(path.suffixes))
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        os.chmod(aside, mode)
        os.replace(aside, path)
        sync_folder(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes | str, *, mode: int = 0o644) -> None:
    """Replace the file at `path` by `content`, all or nothing."""
    with written_aside(path, mode=mode) as aside:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
