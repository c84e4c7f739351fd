"""What must hold of a dataset before the first image is read."""

from collections.abc import Sequence

from dpmed.core.errors import ConfigError
from dpmed.core.manifest import Case, Manifest, Split
from dpmed.core.recipe import DataRecipe


def cases_for(manifest: Manifest, recipe: DataRecipe, split: Split, *, labelled: bool = True) -> tuple[Case, ...]:
    """The cases of a split. Raises `ConfigError` if the recipe cannot be fed from every one of them.

    With `labelled` False a case without label or mask will do.
    """
    cases = tuple(case for case in manifest.cases if case.split == split)
    _check_modalities(cases, recipe)
    _check_dimensions(cases, recipe)
    if labelled:
        _check_truth(cases, manifest)
    return cases


def _check_modalities(cases: Sequence[Case], recipe: DataRecipe) -> None:
    lacking = {wanted: sum(wanted not in case.images for case in cases) for wanted in recipe.modalities}
    if not any(lacking.values()):
        return
    counts = ", ".join(f"{count} lack {modality}" for modality, count in lacking.items() if count)
    everywhere = set.intersection(*(set(case.images) for case in cases))
    kept = [modality for modality in recipe.modalities if modality in everywhere] or sorted(everywhere)
    words = ", ".join(f'"{modality}"' for modality in kept)
    hint = f"--set 'data.modalities=[{words}]' uses what every case has" if kept else "leave the incomplete cases out"
    raise ConfigError(f"of {len(cases)} cases, {counts}, which the recipe needs", hint=hint)


def _check_dimensions(cases: Sequence[Case], recipe: DataRecipe) -> None:
    pictures = sum(len(case.geometry.shape) == 2 for case in cases)
    if recipe.spatial_dims == 3 and pictures:
        raise ConfigError(
            f"the recipe is 3-D and {pictures} of {len(cases)} cases are single slices", hint="use a 2-D recipe"
        )
    if recipe.spacing_mm is not None and pictures:
        raise ConfigError(
            f"the recipe sets spacing_mm, and {pictures} of {len(cases)} cases are pictures that do not say their size",
            hint="leave data.spacing_mm out of the recipe: slices are then fitted into image_size",
        )


def _check_truth(cases: Sequence[Case], manifest: Manifest) -> None:
    classifies = manifest.task == "covid-ct"
    without = sum((case.label if classifies else case.mask) is None for case in cases)
    if without:
        raise ConfigError(
            f"{without} of {len(cases)} cases have no {'label' if classifies else 'mask'} to learn from",
            hint="ingest again with labels for them, or without them",
        )
