"""Cases prepared once and read many times, keyed by what is in the files and by the settings that prepare them."""

import hashlib
from pathlib import Path

from dpmed.core.errors import MismatchError
from dpmed.core.files import sha256_of
from dpmed.core.labels import LabelScheme
from dpmed.core.manifest import Case
from dpmed.core.recipe import DataRecipe
from dpmed.data.pipeline import files_of, pipeline, settings_digest
from dpmed.data.prepared import PreparedCase, is_intact, load, prepared, save

MOST_OPEN = 4096
"""Mapped files: a mapping takes no memory that the system could not take back, but systems bound their number."""


class CaseCache:
    """Prepared cases in `cache/<settings>/<case>-<content>.safetensors`, or none kept if `cache` is None.

    A missing or damaged file is made again from the images; images that changed since they were ingested raise
    `MismatchError`. Threads and processes may share a cache: a file is written aside and renamed.
    """

    def __init__(self, folder: Path, recipe: DataRecipe, scheme: LabelScheme | None, *, cache: Path | None) -> None:
        self.folder, self.recipe, self.scheme = folder, recipe, scheme
        self._home = cache / settings_digest(recipe, scheme) if cache is not None else None
        self._open: dict[str, PreparedCase] = {}

    def prepare(self, case: Case) -> None:
        """Make sure that the case is in the cache, to the bit as it was written."""
        path = self.path(case)
        if path is not None and not is_intact(path):
            save(self._make(case), path)
            self._open.pop(case.case, None)

    def read(self, case: Case) -> PreparedCase:
        """The case from the cache, put there first if need be; its file stays mapped, to be read again."""
        if case.case in self._open:
            return self._open[case.case]
        path = self.path(case)
        if path is None:
            return self._make(case)
        found = load(path)
        if found is None:
            found = self._make(case)
            save(found, path)
            found = load(path) or found  # mapped, so that what stays open is not held in memory
        if len(self._open) < MOST_OPEN:
            self._open[case.case] = found
        return found

    def path(self, case: Case) -> Path | None:
        """Where the case lies; None without a cache."""
        if self._home is None:
            return None
        digests = "".join(case.sha256[name] for name in files_of(case, self.recipe, self.scheme).values())
        content = hashlib.sha256(digests.encode()).hexdigest()
        return self._home / f"{case.case}-{content[:16]}.safetensors"

    def _make(self, case: Case) -> PreparedCase:
        self._check_content(case)
        item = pipeline(case, self.folder, self.recipe, self.scheme)
        return prepared(item, self.recipe, case.intensity)

    def _check_content(self, case: Case) -> None:
        for name in files_of(case, self.recipe, self.scheme).values():
            path = self.folder / name
            if not path.is_file() or sha256_of(path) != case.sha256[name]:
                raise MismatchError(
                    f"case {case.case}: an image or mask is missing or was changed since it was ingested",
                    hint="run dpmed ingest again into a new folder, or restore the dataset from a copy",
                )
