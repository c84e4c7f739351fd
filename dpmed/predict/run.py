"""`dpmed predict`: look at the input, read scan after scan, answer, write."""

import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dpmed.backends import Backend, open_backend, resolve_device
from dpmed.core.errors import ConfigError, MismatchError
from dpmed.core.events import Progress
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import Statement
from dpmed.evaluate import inference
from dpmed.evaluate.pictures import AnsweredSlice
from dpmed.ingest.detect import Kind
from dpmed.ingest.jobs import jobs
from dpmed.ingest.pseudonyms import Pseudonyms, new_key
from dpmed.ingest.reasons import Refused
from dpmed.predict.back import onto_input
from dpmed.predict.dicom import require_highdicom
from dpmed.predict.follow import followed
from dpmed.predict.glance import MOST_SCANS, outlined_slice, rated_slice, save_page
from dpmed.predict.inputs import Found, Misfit, look, require_any, require_declared
from dpmed.predict.masks import with_dicom, with_masks
from dpmed.predict.reading import Reading, read
from dpmed.predict.request import Answer, PredictDone, PredictRequest, Refusal, Unfit
from dpmed.predict.tables import write_tables

PredictEvent = Progress | PredictDone
UNPACKED = ".reading-"


def predict(request: PredictRequest) -> Iterator[PredictEvent]:
    """Answer for every scan of an input; the events end with `PredictDone`.

    Scans are read as `dpmed ingest` reads them and brought through the pipeline of the training; nothing is scrubbed,
    since the answers stay with whoever gave the scans. Masks lie on the input's own voxels. Raises `ConfigError` or
    `MismatchError` before a scan is read and `NoInputError` if the run can look at none.
    """
    started = time.monotonic()
    if request.dicom:
        require_highdicom()
    config, statement = RunConfig.load(request.run), _statement(request)
    _require_new(request.out)
    require_declared(request.modality, config.recipe.data)
    place = resolve_device(request.device)
    with (
        _scratch(request.out) as scratch,
        closing(open_backend(request.device, model=config.model, task=config.task)) as backend,
    ):
        inference.load_weights(backend, request.run)
        found = yield from look(request, config.recipe.data, scratch)
        require_any(found.scans, found.refusals)
        answers, slices, refusals = yield from _answers(request, config, found, backend, scratch)
        require_any(answers, refusals)
        save_page(slices, config.task.outputs, request.out)
        done = PredictDone(
            out=request.out,
            task=config.task,
            statement=statement,
            device=place,
            answers=tuple(answers),
            refusals=tuple(refusals),
            patients=_by_patient(answers),
            seconds=time.monotonic() - started,
        )
        write_tables(done)
    yield done


def _answers(
    request: PredictRequest, config: RunConfig, found: Found, backend: Backend, scratch: Path
) -> Generator[Progress, None, tuple[list[Answer], list[AnsweredSlice], list[Refusal]]]:
    answers: list[Answer] = []
    slices: list[AnsweredSlice] = []
    refusals = list(found.refusals)
    names = Pseudonyms(new_key())  # for the pipeline, gone with this process
    for number, (name, candidate) in enumerate(found.scans, start=1):
        (job,) = jobs([candidate], names)
        try:
            if config.task.kind == "segmentation" and found.kind is Kind.PICTURES:
                raise Misfit(Unfit.PICTURE)
            reading = read(job, found.kind, config.recipe.data, scratch)
            answer, shown = yield from _answer(Answer(name, candidate), reading, config, backend, request)
            answers.append(answer)
            slices += [shown] if len(slices) < MOST_SCANS else []
        except Refused as refused:
            refusals.append(Refusal(name, refused.reason.value))
        except Misfit as misfit:
            refusals.append(Refusal(name, misfit.unfit.value))
        yield Progress("scans", number, len(found.scans))
    return answers, slices, refusals


def _answer(
    answer: Answer, reading: Reading, config: RunConfig, backend: Backend, request: PredictRequest
) -> Generator[Progress, None, tuple[Answer, AnsweredSlice]]:
    recipe, whole = config.recipe.data, reading.whole
    views = inference.views(whole, recipe)
    regions = None
    if config.task.kind == "classification":
        rates = partial(inference.probabilities, case=whole, recipe=recipe)
        rated = yield from followed(rates, backend, views=views)
        answer = replace(answer, probability=inference.mean_probability(rated, whole))
        shown = rated_slice(answer, reading, rated)
    else:
        outlines = partial(inference.region_logits, case=whole, recipe=recipe)
        logits = yield from followed(outlines, backend, views=views)
        regions = onto_input(torch.sigmoid(logits).numpy(), reading.network, reading.shape, reading.grid)
        answer = with_masks(answer, regions, reading, config, request.out)
        shown = outlined_slice(answer, reading, logits)
    return with_dicom(answer, regions, config, request.out) if request.dicom else answer, shown


def _by_patient(answers: Sequence[Answer]) -> dict[str, float]:
    """The mean over a patient's scans, as `dpmed evaluate` has it."""
    rated = defaultdict(list)
    for answer in answers:
        if answer.probability is not None:
            rated[answer.patient].append(answer.probability)
    return {patient: float(np.mean(probabilities)) for patient, probabilities in rated.items()}


def _statement(request: PredictRequest) -> Statement:
    if not request.run.statement.is_file():
        raise MismatchError("the run has no statement: it was not finished", hint="dpmed train ... --resume")
    return Statement.from_json(request.run.statement.read_text())


def _require_new(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(one for one in out.iterdir() if not one.name.startswith(UNPACKED))):
        raise ConfigError("the output folder is not empty", hint="name a new folder with --out")


@contextmanager
def _scratch(out: Path) -> Iterator[Path]:
    """A private folder for what is being read, gone on every exit; one left by a run that was killed goes first."""
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    for leftover in out.glob(f"{UNPACKED}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        with tempfile.TemporaryDirectory(dir=out, prefix=UNPACKED) as folder:
            yield Path(folder)
    finally:
        with suppress(OSError):  # nothing was written: leave nothing behind
            out.rmdir()
