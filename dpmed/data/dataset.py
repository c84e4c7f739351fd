"""The patients of one split, each as the tensors of a step or as whole cases to be judged on."""

import copy
import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from dpmed.core.events import Progress
from dpmed.core.manifest import Case, Manifest, Split
from dpmed.core.recipe import DataRecipe
from dpmed.data.augment import augmented
from dpmed.data.cache import CaseCache
from dpmed.data.checks import cases_for
from dpmed.data.draws import places, read_patch, read_slice
from dpmed.data.features import Features
from dpmed.data.pipeline import BACKGROUND
from dpmed.data.prepared import PreparedCase
from dpmed.data.spec import task_spec
from dpmed.data.tensors import PatientTensors, WholeCase
from dpmed.data.whole import whole_case


class PatientDataset:
    """One split of a dataset, patient by patient.

    Guarantees: what a patient yields depends on that patient's files, the recipe, `seed` and the step alone, in
    whatever order and by however many threads it is fetched; every patient yields the same number of draws.
    Raises `ConfigError` if some case lacks what the recipe needs, or its label or mask unless `labelled` is False.
    """

    def __init__(
        self,
        manifest: Manifest,
        folder: Path,
        recipe: DataRecipe,
        *,
        split: Split,
        seed: int = 0,
        cache: Path | None = None,
        labelled: bool = True,
    ) -> None:
        self.recipe, self.seed = recipe, seed
        self.task = task_spec(manifest)
        self._cases: dict[str, list[Case]] = {}
        for case in cases_for(manifest, recipe, split, labelled=labelled):
            self._cases.setdefault(case.patient, []).append(case)
        self.patients = tuple(sorted(self._cases))
        scheme = manifest.label_scheme if self.task.kind == "segmentation" else None
        self._cache = CaseCache(folder, recipe, scheme, cache=cache)
        self._features: Features | None = None

    def seen_as(self, features: Features) -> "PatientDataset":
        """The same draws of the same slices, each as the features of it rather than its pixels.

        For a 2-D classification whose slices are not augmented: only such are the same at every step.
        """
        assert self.recipe.spatial_dims == 2 and not self.recipe.augment and self.task.kind == "classification"
        other = copy.copy(self)
        other._features = features
        return other

    def prepare(self) -> Iterator[Progress]:
        """Bring every case through the deterministic part of the pipeline, once."""
        cases = [case for patient in self.patients for case in self._cases[patient]]
        for done, case in enumerate(cases, start=1):
            self._cache.prepare(case)
            if self._features is not None:
                self._features.of(case.case, self._cache.read(case), self._cache.path(case))
            yield Progress("cases", done, len(cases))

    def fetch(self, patient: str, *, step: int) -> PatientTensors:
        """`draws_per_patient` slices or patches of all of the patient's cases, each seen anew at each step."""
        random = _generator(self.seed, step, patient)
        cases = self._cases[patient]
        ready = [self._cache.read(case) for case in cases]
        drawn = places(ready, self.recipe, segments=self.task.kind == "segmentation", random=random)
        air = [BACKGROUND[cases[n].intensity] for n, _ in drawn]
        images = [self._seen(cases[n], ready[n], at, value) for (n, at), value in zip(drawn, air, strict=True)]
        masks = [self._crop(mask, at, 0) for n, at in drawn if (mask := ready[n].regions) is not None]
        image, regions = torch.stack(images), torch.stack(masks) if masks else None
        if self.recipe.augment:
            image, regions = augmented(image, regions, background=torch.tensor(air), random=random)
        labels = torch.tensor([float(cases[n].label or 0) for n, _ in drawn])
        return PatientTensors(image.contiguous(), labels if regions is None else regions.contiguous())

    def whole(self, patient: str) -> Iterator[WholeCase]:
        """Every case of a patient, one at a time, neither cropped nor augmented."""
        for case in self._cases[patient]:
            yield whole_case(case, self._cache.read(case), self.recipe)

    def _seen(self, case: Case, ready: PreparedCase, position: tuple[int, ...], background: float) -> Tensor:
        if self._features is not None:
            return self._features.of(case.case, ready, self._cache.path(case))[position[0]]
        return self._crop(ready.image, position, background)

    def _crop(self, stored: Tensor, position: tuple[int, ...], background: float) -> Tensor:
        if self.recipe.spatial_dims == 2:
            return read_slice(stored, position)
        return read_patch(stored, position, size=self.recipe.image_size, background=background)


def _generator(seed: int, step: int, patient: str) -> torch.Generator:
    """Random numbers that are this patient's at this step, wherever and whenever they are drawn."""
    digest = hashlib.sha256(f"{seed}/{step}/{patient}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))
