"""What public weights were made from: written beside them by `dpmed pretrain`, and looked at before a private run."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from dpmed.core.choices import Pretraining
from dpmed.core.errors import MismatchError
from dpmed.core.files import sha256_of
from dpmed.core.manifest import Case, Manifest, Sha256
from dpmed.core.recipe import Recipe
from dpmed.core.record import Record


class Seen(Record):
    """How the weights of a file came about.

    `images` are digests of the digests of all images, those behind the weights started from too: enough to tell
    whether a dataset holds one of them, and nothing else. `phantom_seed` is None for scans that somebody declared
    public, `manifest_sha256` for generated ones.
    """

    schema_: Literal["dpmed.pretrained/1"] = Field(default="dpmed.pretrained/1", alias="schema")
    dpmed_version: str
    method: Pretraining
    patients: int
    cases: int
    phantom_seed: int | None
    manifest_sha256: Sha256 | None
    recipe: Recipe
    steps: int
    seed: int
    init_sha256: Sha256 | None
    weights_sha256: Sha256
    images: tuple[Sha256, ...]

    @property
    def words(self) -> str:
        """In one line, for a model card."""
        kind = "generated phantoms" if self.manifest_sha256 is None else "patients declared public"
        how = "centred on" if self.method == "centre" else f"trained ({self.method}, {self.steps} steps) on"
        return f"{how} {self.patients} {kind}: public, outside the guarantee"

    def to_json(self) -> str:
        """JSON text, with the schema under its public name."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"

    @classmethod
    def beside(cls, weights: Path | None) -> "Seen | None":
        """The record of a file of weights; None where it has none. Raises `MismatchError` if it is of other weights."""
        if weights is None or not (path := place_beside(weights)).is_file():
            return None
        found = cls.from_json(path.read_text())
        if found.weights_sha256 != sha256_of(weights):
            raise MismatchError(
                f"{path.name} tells of other weights than those beside it",
                hint="put the two files of one dpmed pretrain together again",
            )
        return found

    def require_others(self, manifest: Manifest) -> None:
        """Raise `MismatchError` where a dataset holds an image that the weights were made from."""
        both = set(self.images) & set(digests_of(manifest.cases))
        if both:
            raise MismatchError(
                f"the weights to start from were made from {len(both)} images of this very dataset, without noise: "
                "nothing could be promised to those patients",
                hint="start from weights of other patients, or from none",
            )


def place_beside(weights: Path) -> Path:
    """Where the record of a file of weights lies."""
    return weights.with_name(f"{weights.name}.json")


def digests_of(cases: Iterable[Case]) -> tuple[Sha256, ...]:
    """A digest of the digest of every image of some cases."""
    files = {case.sha256[name] for case in cases for name in case.images.values()}
    return tuple(sorted(hashlib.sha256(digest.encode()).hexdigest() for digest in files))
