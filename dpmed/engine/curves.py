"""Training curves for TensorBoard. They lie in `curator/`: a loss, or how many were drawn, is a fact about patients."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from dpmed.core.errors import ConfigError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

SECONDS_UNWRITTEN = 5
"""Of curves that a kill may lose; the ledger and the metrics lose nothing."""


def check_installed() -> None:
    """Raise `ConfigError` if the extra is missing."""
    if find_spec("tensorboard") is None:
        raise ConfigError(
            "--tensorboard needs TensorBoard, which is not installed",
            hint='pip install -c constraints.txt -e ".[tensorboard]", or read curator/metrics.jsonl',
        )


class Curves:
    """Scalars by name and step; with no writer, nowhere."""

    def __init__(self, writer: "SummaryWriter | None") -> None:
        self._writer = writer

    def add(self, step: int, values: Mapping[str, float | None]) -> None:
        """One point on every curve that has a value at this step."""
        if self._writer is None:
            return
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(name, value, step)


@contextmanager
def curves(folder: Path | None, *, first: int) -> Iterator[Curves]:
    """Curves from step `first` on; later points, which a lost process may have drawn, are dropped. Nowhere if None."""
    if folder is None:
        yield Curves(None)
        return
    from torch.utils.tensorboard import SummaryWriter

    folder.mkdir(parents=True, exist_ok=True)
    writer = SummaryWriter(str(folder), purge_step=first, flush_secs=SECONDS_UNWRITTEN)
    try:
        yield Curves(writer)
    finally:
        writer.close()
