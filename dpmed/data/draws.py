"""Which slices or patches of a patient enter one step, and reading just those."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from dpmed.core.recipe import DataRecipe
from dpmed.data.prepared import PreparedCase

Place = tuple[int, tuple[int, ...]]
"""A case of the patient, by its index, and a position in it: a slice number, or a voxel to centre a patch on."""


def places(
    cases: Sequence[PreparedCase], recipe: DataRecipe, *, segments: bool, random: torch.Generator
) -> list[Place]:
    """Exactly `draws_per_patient` places among all cases of a patient.

    Drawn without repeats until every position was had, then over again: a patient with few slices gives as many
    draws as any other, so the number of draws tells nothing about the patient. With `segments`, each draw is on tumour
    with probability `foreground_fraction`, if the patient has any.
    """
    tissue, tumour = _pool([case.tissue for case in cases]), _pool([case.tumour for case in cases])
    wanted = recipe.draws_per_patient
    on_tumour = int((torch.rand(wanted, generator=random) < recipe.foreground_fraction).sum())
    on_tumour = on_tumour if segments and len(tumour) else 0
    return _some(tumour, on_tumour, random) + _some(tissue, wanted - on_tumour, random)


def _pool(positions: Sequence[Tensor]) -> Tensor:
    """All positions as rows of case number and coordinates."""
    numbered = [torch.cat([torch.full((len(found), 1), case), found], dim=1) for case, found in enumerate(positions)]
    return torch.cat(numbered)


def _some(pool: Tensor, count: int, random: torch.Generator) -> list[Place]:
    if count == 0:
        return []
    rounds = -(-count // len(pool))
    order = torch.cat([torch.randperm(len(pool), generator=random) for _ in range(rounds)])[:count]
    return [(case, tuple(position)) for case, *position in pool[order].tolist()]


def read_slice(stack: Tensor, position: tuple[int, ...]) -> Float[Tensor, "channel row column"]:
    """One slice of a 2-D recipe's stack."""
    return stack[position[0]].float()


def read_patch(
    volume: Tensor, position: tuple[int, ...], *, size: tuple[int, ...], background: float
) -> Float[Tensor, "channel slice row column"]:
    """A patch around a voxel, moved inside the volume; a volume smaller than the patch is padded around."""
    inside, padding = [slice(None)], []
    for centre, wanted, there in zip(position, size, volume.shape[1:], strict=True):
        start = min(max(centre - wanted // 2, 0), max(there - wanted, 0))
        inside.append(slice(start, start + wanted))
        missing = max(wanted - there, 0)
        padding.append((missing // 2, missing - missing // 2))
    patch = volume[tuple(inside)].float()
    return pad(patch, [side for pair in reversed(padding) for side in pair], value=background)
