"""Where things lie in a dataset folder and in a run folder."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DatasetFolder:
    """What `dpmed ingest` writes."""

    root: Path

    @property
    def manifest(self) -> Path:
        """The cases, without identifiers."""
        return self.root / "manifest.json"

    @property
    def scrub_report(self) -> Path:
        """What was removed, by class and count."""
        return self.root / "scrub-report.json"

    @property
    def budget(self) -> Path:
        """The lifetime ledger of the dataset: one entry per run."""
        return self.root / "budget.jsonl"

    @property
    def cache(self) -> Path:
        """Preprocessed tensors, rebuilt at will."""
        return self.root / "cache"


@dataclass(frozen=True)
class RunFolder:
    """A training run: `release` may leave the hospital, `curator` stays."""

    root: Path

    @property
    def release(self) -> Path:
        """The folder that may leave the hospital."""
        return self.root / "release"

    @property
    def curator(self) -> Path:
        """The folder that stays: it holds things outside the privacy guarantee."""
        return self.root / "curator"

    @property
    def model(self) -> Path:
        """The trained weights."""
        return self.release / "model.safetensors"

    @property
    def config(self) -> Path:
        """How the model is built and fed: enough to use the weights elsewhere."""
        return self.release / "config.json"

    @property
    def ledger(self) -> Path:
        """One hash-chained entry per paid step."""
        return self.release / "ledger.jsonl"

    @property
    def statement(self) -> Path:
        """What is guaranteed, in words and numbers."""
        return self.release / "statement.json"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.release / "card.md"

    @property
    def report(self) -> Path:
        """The page about the run, without anything of single patients."""
        return self.release / "report.html"

    @property
    def state(self) -> Path:
        """Checkpoints."""
        return self.curator / "state"

    @property
    def manifest(self) -> Path:
        """A copy of the dataset's manifest as it was when training started."""
        return self.curator / "manifest.json"

    @property
    def metrics(self) -> Path:
        """Losses and batch sizes, step by step."""
        return self.curator / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        """The same as curves, where asked for."""
        return self.curator / "tensorboard"


RELEASE_FILES = frozenset(
    {"model.safetensors", "config.json", "ledger.jsonl", "statement.json", "card.md", "report.html"}
)
"""All that `release/` may hold."""
