"""What is asked of an ingest, and what it answers."""

from dataclasses import dataclass, field
from pathlib import Path

from dpmed.core.choices import Faces, OutputFormat, Pixels
from dpmed.core.errors import ConfigError
from dpmed.core.labels import LabelScheme
from dpmed.core.manifest import Task
from dpmed.ingest.crosswalk import Lock


@dataclass(frozen=True)
class SplitFractions:
    """Shares of patients; what is left after `train` and `test` is `val`."""

    train: float = 0.7
    test: float = 0.2

    def __post_init__(self) -> None:
        if not (0 < self.train <= 1 and 0 <= self.test <= 1 and self.train + self.test <= 1 + 1e-9):
            raise ConfigError("split fractions must lie between 0 and 1 and add up to at most 1", hint="0.7 and 0.2")


@dataclass(frozen=True)
class IngestRequest:
    """One ingest. `workers` None chooses by the size of the input; the result is the same for any number.

    `profile` is a name or the path of a TOML file. `k_anonymity` generalises the attributes in the manifest until
    every patient shares them with that many; `crosswalk` is where the encrypted table of pseudonyms goes, under `lock`.
    `pixels` says what becomes of pictures with text burned in, `faces` of volumes with a face.
    """

    source: Path
    out: Path
    labels: Path | None = None
    task: Task | None = None
    label_scheme: LabelScheme | None = None
    key: Path | None = None
    workers: int | None = None
    dry_run: bool = False
    resume: bool = False
    verify: bool = False
    profile: str = "training"
    format: OutputFormat = "nifti"
    seed: int = 0
    fractions: SplitFractions = field(default_factory=SplitFractions)
    k_anonymity: int | None = None
    crosswalk: Path | None = None
    lock: Lock | None = field(default=None, repr=False)
    pixels: Pixels = "gate"
    faces: Faces = "gate"


@dataclass(frozen=True)
class IngestResult:
    """Counts alone, and where the result lies. Every input image is in, held back, or a duplicate.

    `task` is None for DICOM that stays DICOM, which is not for training.
    """

    task: Task | None
    kind: str
    patients: int
    cases: int
    images_in: int
    images_out: int
    duplicates: int
    quarantined: int
    quarantined_by_reason: dict[str, int]
    identifiers_removed: dict[str, int]
    labels_unmatched: int
    splits: dict[str, int]
    modalities: dict[str, int]
    seconds: float
    verified: bool | None
    out: Path
    dry_run: bool

    @property
    def is_complete(self) -> bool:
        """Nothing held back and every label used."""
        return self.quarantined == 0 and self.labels_unmatched == 0


@dataclass(frozen=True)
class IngestDone:
    """The last event of an ingest."""

    result: IngestResult
