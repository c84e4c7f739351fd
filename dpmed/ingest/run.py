"""An ingest from end to end: survey the input, write case after case, then the manifest."""

import errno
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dpmed.core.errors import ConfigError, InterruptedRun, NoInputError
from dpmed.core.events import Note, Progress
from dpmed.core.files import write_atomic
from dpmed.core.folders import DatasetFolder
from dpmed.core.manifest import Split
from dpmed.ingest.convert import Converter, Outcome
from dpmed.ingest.crosswalk import require_place, write_if_asked
from dpmed.ingest.cures import nothing_usable
from dpmed.ingest.faces.policy import FacePolicy
from dpmed.ingest.jobs import Job, fingerprint, jobs
from dpmed.ingest.journal import Journal, clear_half_written, is_interrupted, remove_empty, require_fresh
from dpmed.ingest.needles import Needles
from dpmed.ingest.objects.export import export, nothing_exported
from dpmed.ingest.objects.outcome import result_of as exported
from dpmed.ingest.objects.plan import plan
from dpmed.ingest.own import own_words
from dpmed.ingest.page import as_html
from dpmed.ingest.pixels.inspect import Policy, inspector
from dpmed.ingest.pool import Crew, ordered_map, workers_for
from dpmed.ingest.pseudonyms import SEPARATOR, Pseudonyms, default_key_path, new_key, read_key, write_key
from dpmed.ingest.report_files import write_report, write_report_of_nothing
from dpmed.ingest.request import IngestDone, IngestRequest
from dpmed.ingest.rules.profile import load_profile
from dpmed.ingest.splits import assign_splits
from dpmed.ingest.summary import Finished, manifest_of, report_of, result_of
from dpmed.ingest.survey import Survey, survey
from dpmed.ingest.verify import SAMPLE, Searcher, evenly, leak, reader_of, search_outputs


@dataclass(frozen=True)
class Key:
    """The pseudonyms of this ingest, and the bytes to save if the key is new."""

    path: Path
    pseudonyms: Pseudonyms
    fresh: bytes | None

    def save(self) -> None:
        """Write a new key file; an old one stays as it is."""
        if self.fresh is not None:
            write_key(self.path, self.fresh)


def ingest(request: IngestRequest) -> Iterator[Progress | Note | IngestDone]:
    """Turn files into a dataset folder; the last event is `IngestDone`.

    Guarantees: nothing is written before the input was surveyed and its options hold; a case is whole or absent; the
    manifest comes last; no original name, date or number is written, raised or yielded. Raises `ConfigError` for
    options, `NoInputError` where nothing is usable, `IdentifierError` if `verify` finds an original string.
    """
    started = time.monotonic()
    _require_places(request)
    if request.crosswalk is not None:
        require_place(request.crosswalk, dataset=request.out)
    load_profile(request.profile)  # a wrong one is refused before anything is looked at
    require_fresh(request.out, resume=request.resume)
    key = _key(request)
    with _scratch(request) as scratch, _room_on_disk():
        if request.format == "dicom":
            yield from _export(request, key, scratch, started)
            return
        seen = yield from survey(request, scratch)
        planned = jobs(seen.layout.candidates, key.pseudonyms)
        if request.dry_run and planned:
            finished = Finished(request, seen, planned, (), {}, key.pseudonyms)
            yield IngestDone(result_of(finished, seconds=time.monotonic() - started))
            return
        if not request.dry_run:
            key.save()
        if not planned:
            raise _nothing_usable(Finished(request, seen, (), (), {}, key.pseudonyms))
        yield from _write(request, seen, planned, key.pseudonyms, started)


def _export(request: IngestRequest, key: Key, scratch: Path, started: float) -> Iterator[Progress | Note | IngestDone]:
    """DICOM that stays DICOM."""
    with closing(Crew(1)) as crew:
        planned = yield from plan(request, key.pseudonyms, scratch, crew)
        if not request.dry_run:
            key.save()
        if not planned.batches:
            raise nothing_exported(planned, ())
        if request.dry_run:
            yield IngestDone(exported(planned, (), seconds=time.monotonic() - started))
            return
        yield from export(planned, crew, started=started)


def _write(
    request: IngestRequest, seen: Survey, planned: Sequence[Job], pseudonyms: Pseudonyms, started: float
) -> Iterator[Progress | Note | IngestDone]:
    request.out.mkdir(parents=True, exist_ok=True)
    clear_half_written(request.out)
    journal = Journal(request.out, Outcome, settings=_settings(request, seen, pseudonyms))
    outcomes = yield from _convert(request, seen, planned, pseudonyms, journal)
    if all(outcome.reason for outcome in outcomes):
        journal.remove()
        raise _nothing_usable(Finished(request, seen, planned, outcomes, {}, pseudonyms))
    splits = _splits(request, planned, outcomes, pseudonyms)
    finished = Finished(request, seen, planned, outcomes, splits, pseudonyms)
    if request.verify:
        finished = yield from _verify(finished, journal)
    write_report(request.out, report_of(finished))
    identities = {job.patient: job.identity for job, _ in finished.written}
    write_if_asked(request.crosswalk, request.lock, identities, pseudonyms, dated=False, dataset=request.out)
    write_atomic(DatasetFolder(request.out).manifest, manifest_of(finished).to_json())
    journal.remove()
    yield IngestDone(result_of(finished, seconds=time.monotonic() - started))


def _convert(
    request: IngestRequest, seen: Survey, planned: Sequence[Job], pseudonyms: Pseudonyms, journal: Journal[Outcome]
) -> Generator[Progress, None, tuple[Outcome, ...]]:
    """Yield progress; the value is the outcome of every job in order, those of an earlier run from the journal."""
    marks = {job.case: pseudonyms.fingerprint(fingerprint(job)) for job in planned}
    earlier = {job.case: _if_intact(request.out, journal.outcome(marks[job.case])) for job in planned}
    done = {case: outcome for case, outcome in earlier.items() if outcome is not None}
    left = [job for job in planned if job.case not in done]
    converter = Converter(
        request.out, seen.kind, request.label_scheme, inspector(Policy(request.pixels)), FacePolicy(request.faces)
    )
    workers = workers_for(sum(len(job.candidate.files) for job in left), request.workers)
    for position, outcome in enumerate(ordered_map(converter, left, workers=workers), start=1):
        journal.add(marks[outcome.case], outcome)
        done[outcome.case] = outcome
        yield Progress("writing cases", len(planned) - len(left) + position, len(planned))
    return tuple(done[job.case] for job in planned)


def _if_intact(out: Path, outcome: Outcome | None) -> Outcome | None:
    """An earlier outcome, if all it wrote is still there."""
    return outcome if outcome and all((out / name).is_file() for name in outcome.sha256) else None


def _splits(
    request: IngestRequest, planned: Sequence[Job], outcomes: Sequence[Outcome], pseudonyms: Pseudonyms
) -> dict[str, Split]:
    """The split of each original patient that has at least one case in the dataset."""
    written = {outcome.case for outcome in outcomes if outcome.reason is None}
    kept = [job for job in planned if job.case in written]
    return assign_splits(
        {job.identity: job.candidate.label for job in kept},
        {job.identity: job.candidate.split for job in kept if job.candidate.split},
        pseudonyms=pseudonyms,
        seed=request.seed,
        fractions=request.fractions,
    )


def _verify(finished: Finished, journal: Journal[Outcome]) -> Generator[Progress, None, Finished]:
    """Search what was written and what is about to be; on a hit all of it is removed."""
    declared, tokens = finished.declared_words(), finished.seen.tokens
    names = [name for outcome in finished.outcomes for name in outcome.sha256]
    reader = reader_of(tokens, pixel_policy=finished.request.pixels)
    found = yield from search_outputs(
        Searcher(finished.request.out, Needles(tokens, known=declared), reader, evenly(names, SAMPLE)),
        names,
        documents=_documents(finished),
        own=own_words() + declared,
    )
    if found.hits:
        _discard(finished.request.out, finished.outcomes, journal)
        raise leak(found)
    return replace(finished, searched=found)


def _documents(finished: Finished) -> tuple[str, ...]:
    report = report_of(finished)
    return report.to_json(), as_html(report), manifest_of(finished).to_json()


def _discard(out: Path, outcomes: Sequence[Outcome], journal: Journal[Outcome]) -> None:
    for outcome in outcomes:
        for name in outcome.sha256:
            (out / name).unlink(missing_ok=True)
    journal.remove()
    shutil.rmtree(out / "quarantine", ignore_errors=True)
    remove_empty(out)


def _require_places(request: IngestRequest) -> None:
    source, out = request.source.resolve(), request.out.resolve()
    if out == source or (request.source.is_dir() and out.is_relative_to(source)) or source.is_relative_to(out):
        raise ConfigError(
            "--out and the source lie in one another", hint="choose an --out folder apart from the source"
        )


def _key(request: IngestRequest) -> Key:
    path = request.key or default_key_path(request.out)
    key = read_key(path, dataset=request.out)
    fresh = new_key() if key is None else None
    if fresh and is_interrupted(request.out):
        raise ConfigError("the key of the interrupted ingest is missing", hint="give it with --key FILE")
    return Key(path, Pseudonyms(key or fresh or b""), fresh)


@contextmanager
def _scratch(request: IngestRequest) -> Iterator[Path]:
    """A private folder for what a zip holds, beside the dataset and gone on every exit; a dry run uses the system's."""
    out = request.out.absolute()
    beside = None if request.dry_run else out.parent
    prefix = f".{out.name}-unpacked-"
    if beside is not None:
        beside.mkdir(parents=True, exist_ok=True)
        for leftover in beside.glob(f"{prefix}*"):  # of a run that was killed
            shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=prefix) as folder:
        yield Path(folder)


@contextmanager
def _room_on_disk() -> Iterator[None]:
    """A full or read-only disk is the user's to cure, and what is finished is kept."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
            raise
        raise InterruptedRun(
            "the disk is full or cannot be written", hint="make room and go on with the same command and --resume"
        ) from None


def _settings(request: IngestRequest, seen: Survey, pseudonyms: Pseudonyms) -> str:
    scheme = request.label_scheme.to_json() if request.label_scheme else ""
    return pseudonyms.fingerprint(
        SEPARATOR.join((str(request.source.resolve()), seen.kind, seen.task, scheme, request.pixels, request.faces))
    )


def _nothing_usable(finished: Finished) -> NoInputError:
    """The error where no case came about; but for a dry run, the report says why of each file."""
    if is_reported := not finished.request.dry_run:
        remove_empty(finished.request.out)
        write_report_of_nothing(finished.request.out, report_of(finished))
    unmatched = finished.seen.labels_unmatched
    return nothing_usable("case", finished.why_held(), is_reported=is_reported, labels_unmatched=unmatched)
