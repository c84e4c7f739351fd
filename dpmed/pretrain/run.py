"""`dpmed pretrain`: ordinary training on public scans, and a record of them beside the weights."""

import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from torch import Tensor

from dpmed import __version__
from dpmed.core.choices import Pretraining
from dpmed.core.errors import InterruptedRun
from dpmed.core.events import Note, Progress, StepDone
from dpmed.core.files import sha256_of, write_atomic
from dpmed.core.folders import DatasetFolder, RunFolder
from dpmed.core.manifest import Manifest
from dpmed.core.recipe import PrivacyRecipe, Recipe
from dpmed.core.seen import Seen, digests_of, place_beside
from dpmed.engine import TrainDone, TrainRequest, train
from dpmed.engine.checkpoint import load_tensors, save_tensors
from dpmed.engine.start import start_file
from dpmed.pretrain.centre import centred
from dpmed.pretrain.phantoms import phantom_seed, phantoms
from dpmed.pretrain.request import PretrainDone, PretrainRequest
from dpmed.pretrain.self_supervised import contrasted

PretrainEvent = Note | Progress | StepDone | PretrainDone
Making = Generator[Note | Progress | StepDone, None, dict[str, Tensor]]


def pretrain(request: PretrainRequest, *, should_stop: Callable[[], bool] = lambda: False) -> Iterator[PretrainEvent]:
    """Make public weights; the last event is `PretrainDone`.

    Nothing is clipped, noised or promised: whoever is in the data can be found in the weights. Raises what `train`
    raises, and `InterruptedRun` after a requested stop, with nothing written.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dpmed-") as name:
        scratch = Path(name)
        if request.data is None:
            yield from phantoms(request.recipe.task, scratch, seed=request.seed)
        asked = _asked(request, scratch)
        weights = yield from METHODS[request.method](asked, should_stop)
        seen = _write(request, asked, weights)
    yield PretrainDone(seen, time.monotonic() - began)


def _asked(request: PretrainRequest, scratch: Path) -> TrainRequest:
    """The same as a run without privacy that trains every weight, in a folder that is thrown away."""
    data = request.data or scratch / "data"
    patients = len(Manifest.load(data).patients("train"))
    recipe = ordinary(request.recipe, patients=patients)
    if request.method != "supervised":  # which see images as they are, or make their own views of them
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"augment": False})})
    return TrainRequest(
        recipe=recipe,
        data=data,
        run=RunFolder(scratch / "run"),
        seed=request.seed,
        private=False,
        init=request.init,
    )


def ordinary(recipe: Recipe, *, patients: int) -> Recipe:
    """A recipe without what is for private runs alone: no part of the network is frozen, and no batch too large."""
    batch = min(recipe.privacy.expected_batch_size, max(1, patients))
    privacy = PrivacyRecipe(expected_batch_size=batch, steps=recipe.privacy.steps, delta=recipe.privacy.delta)
    model = recipe.model.model_copy(update={"trained": "all", "rank": None})
    return recipe.model_copy(update={"model": model, "privacy": privacy})


def _supervised(asked: TrainRequest, should_stop: Callable[[], bool]) -> Making:
    try:
        for event in train(asked, should_stop=should_stop):
            if not isinstance(event, TrainDone):
                yield event
    except InterruptedRun:
        raise InterruptedRun("stopped before the last step; nothing was written", hint="run it again") from None
    return load_tensors(asked.run.model)[0]


METHODS: dict[Pretraining, Callable[[TrainRequest, Callable[[], bool]], Making]] = {
    "supervised": _supervised,
    "centre": centred,
    "self-supervised": contrasted,
}


def _write(request: PretrainRequest, asked: TrainRequest, weights: dict[str, Tensor]) -> Seen:
    manifest = Manifest.load(asked.data)
    cases = [case for case in manifest.cases if case.split == "train"]
    start = start_file(request.init, request.recipe.model)
    before = Seen.beside(start)
    save_tensors(request.out, weights, metadata={"made_by": f"dpmed pretrain {request.method}"})
    seen = Seen(
        dpmed_version=__version__,
        method=request.method,
        patients=len(manifest.patients("train")),
        cases=len(cases),
        phantom_seed=phantom_seed(request.seed) if request.data is None else None,
        manifest_sha256=sha256_of(DatasetFolder(asked.data).manifest) if request.data else None,
        recipe=asked.recipe,
        steps=0 if request.method == "centre" else asked.recipe.privacy.steps,
        seed=request.seed,
        init_sha256=sha256_of(start) if start else None,
        weights_sha256=sha256_of(request.out),
        images=tuple(sorted({*digests_of(cases), *(before.images if before else ())})),
    )
    write_atomic(place_beside(request.out), seen.to_json())
    return seen
