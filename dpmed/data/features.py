"""What a frozen network sees in each slice, computed once per case and kept beside the prepared cases."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dpmed.core.files import written_aside
from dpmed.data.prepared import PreparedCase, digest_of

ROWS = "features"
AT_ONCE = 16
"""Slices that go through the network together."""
Network = Callable[[Float[Tensor, "slice channel row column"]], Float[Tensor, "slice value"]]


@dataclass
class Features:
    """The features of slices under one network; `digest` names the network with its weights.

    In a cache they lie in `features-<digest>/`, beside the cases that they were made from: every run with the same
    network, weights and images reads them. A missing or damaged file is made again.
    """

    network: Network
    digest: str
    _known: dict[str, Tensor] = field(default_factory=dict)

    def of(self, name: str, case: PreparedCase, path: Path | None) -> Float[Tensor, "slice value"]:
        """One row per slice of the case called `name`, whose own file is `path`. Slices without tissue have zeros."""
        if name not in self._known:
            home = path.parent / f"features-{self.digest}" / path.name if path is not None else None
            found = _load(home) if home is not None else None
            if found is None:
                found = self._make(case)
                if home is not None:
                    _save(found, home)
            self._known[name] = found
        return self._known[name]

    @torch.no_grad()
    def _make(self, case: PreparedCase) -> Tensor:
        seen = case.tissue[:, 0].long()
        parts = [self.network(case.image[some].float()) for some in torch.split(seen, AT_ONCE)]
        rows = torch.cat(parts)
        return rows.new_zeros((len(case.image), rows.shape[1])).index_copy_(0, seen, rows)


def _save(rows: Tensor, path: Path) -> None:
    with written_aside(path) as aside:
        save_file({ROWS: rows.contiguous()}, aside, metadata={"sha256": digest_of({ROWS: rows.contiguous()})})


def _load(path: Path) -> Tensor | None:
    try:
        with safe_open(path, framework="pt") as file:
            rows: Tensor = file.get_tensor(ROWS)
            return rows if (file.metadata() or {}).get("sha256") == digest_of({ROWS: rows}) else None
    except (FileNotFoundError, SafetensorError):
        return None
