"""A folder that is either whole or not there: made aside, flushed file by file, then renamed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dpmed.core.files import sync_folder

FOLDER_MODE, FILE_MODE = 0o755, 0o644


@contextmanager
def folder_aside(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; on success flush all in it and rename it onto `path`, which must be free."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=".tmp-"))
    try:
        yield aside
        _flush(aside)
        os.chmod(aside, FOLDER_MODE)
        os.replace(aside, path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _flush(folder: Path) -> None:
    for place in [*folder.rglob("*"), folder]:
        if place.is_dir():
            sync_folder(place)
        else:
            os.chmod(place, FILE_MODE)  # safetensors leaves what it writes to its owner alone
            with place.open("rb") as file:
                os.fsync(file.fileno())
