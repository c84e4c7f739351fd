"""A case after the deterministic part of the pipeline, in memory or as a memory-mapped file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float16, Int32, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dpmed.core.files import written_aside
from dpmed.core.manifest import Intensity
from dpmed.core.recipe import DataRecipe
from dpmed.data.content import air_level, fullest
from dpmed.data.pipeline import BACKGROUND, IMAGE, REGIONS

TISSUE, TUMOUR = "tissue", "tumour"
MOST_POSITIONS = 4096
LEAST_TISSUE = 0.01


@dataclass(frozen=True)
class PreparedCase:
    """Half-precision images (their rounding is far below scanner noise) and where in them there is what to see.

    A 2-D recipe has the slice axis in front, to be read slice by slice. `tissue` and `tumour` list positions to draw
    from: slice numbers, or voxels of a volume, thinned out evenly to a few thousand.
    """

    image: Float16[Tensor, "..."]
    regions: UInt8[Tensor, "..."] | None
    tissue: Int32[Tensor, "position axis"]
    tumour: Int32[Tensor, "position axis"]
    spacing_mm: tuple[float, ...]


def prepared(item: Mapping[Any, Any], recipe: DataRecipe, intensity: Intensity) -> PreparedCase:
    """From what the pipeline made of a case."""
    image: Tensor = item[IMAGE]
    regions: Tensor | None = item.get(REGIONS)
    inside = (image != BACKGROUND[intensity]).any(0)
    ill = regions.any(0) if regions is not None else torch.zeros_like(inside)
    if recipe.spatial_dims == 2:
        is_full = torch.tensor(True)
        if recipe.slices == "content":
            is_full = fullest(image, inside, level=air_level(intensity, recipe))
        image = image.transpose(0, 1)
        regions = regions.transpose(0, 1) if regions is not None else None
        inside, ill = (inside.float().mean((1, 2)) >= LEAST_TISSUE) & is_full, ill.any(-1).any(-1)
    return PreparedCase(
        image=image.to(torch.float16).contiguous(),
        regions=regions.contiguous() if regions is not None else None,
        tissue=_positions(inside if inside.any() else torch.ones_like(inside)),
        tumour=_positions(ill),
        spacing_mm=item["spacing_mm"],
    )


def _positions(where: Tensor) -> Int32[Tensor, "position axis"]:
    found = where.nonzero().to(torch.int32)
    kept = torch.linspace(0, len(found) - 1, min(len(found), MOST_POSITIONS), dtype=torch.float64).long()
    return found[kept].contiguous()


def save(case: PreparedCase, path: Path) -> None:
    """Write the file, old or new and never half, with a digest of its tensors."""
    tensors = {IMAGE: case.image, TISSUE: case.tissue, TUMOUR: case.tumour}
    if case.regions is not None:
        tensors[REGIONS] = case.regions
    metadata = {"spacing_mm": json.dumps(case.spacing_mm), "sha256": digest_of(tensors)}
    with written_aside(path) as aside:
        save_file(tensors, aside, metadata=metadata)


def load(path: Path) -> PreparedCase | None:
    """The case, its tensors mapped from the file and read when used; None if there is no such file or a broken one."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
        return PreparedCase(
            tensors[IMAGE],
            tensors.get(REGIONS),
            tensors[TISSUE],
            tensors[TUMOUR],
            tuple(json.loads(metadata["spacing_mm"])),
        )
    except (FileNotFoundError, SafetensorError, KeyError, json.JSONDecodeError):
        return None


def is_intact(path: Path) -> bool:
    """Whether the file's tensors are those that were written, to the bit."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a mapping
            return (file.metadata() or {}).get("sha256") == digest_of(tensors)
    except (FileNotFoundError, SafetensorError):
        return False


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Names tensors by their names, shapes and bits; they have to be contiguous."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(f"{name}{tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].numpy().data)
    return digest.hexdigest()
