"""DICOM in, DICOM out: the plan, then batch after batch, then the search, the report and the manifest."""

import os
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from dpmed.core.errors import NoInputError
from dpmed.core.events import Note, Progress
from dpmed.core.files import write_atomic
from dpmed.core.folders import DatasetFolder
from dpmed.ingest.crosswalk import write_if_asked
from dpmed.ingest.cures import nothing_usable
from dpmed.ingest.journal import Journal, clear_half_written
from dpmed.ingest.objects.batches import Batch
from dpmed.ingest.objects.exporter import Exporter, Written
from dpmed.ingest.objects.outcome import manifest_of, report_of, result_of
from dpmed.ingest.objects.plan import Plan
from dpmed.ingest.objects.search import search
from dpmed.ingest.page import as_html
from dpmed.ingest.pool import Crew
from dpmed.ingest.pseudonyms import SEPARATOR
from dpmed.ingest.report_files import write_report, write_report_of_nothing
from dpmed.ingest.request import IngestDone
from dpmed.ingest.verify import Searched, leak


def export(plan: Plan, crew: Crew, *, started: float) -> Iterator[Progress | Note | IngestDone]:
    """Write a planned dataset; the last event is `IngestDone`.

    Guarantees: an object is whole or absent, an interrupted export goes on where it stopped, and the manifest comes
    last. Raises `NoInputError` where every object was refused, `IdentifierError` if `verify` finds a string.
    """
    request = plan.request
    request.out.mkdir(parents=True, exist_ok=True)
    clear_half_written(request.out)
    journal = Journal(request.out, Written, settings=_settings(plan))
    outcomes = yield from _batches(plan, crew, journal)
    if not any(outcome.sha256 for outcome in outcomes):
        _discard(plan, outcomes, journal)
        raise nothing_exported(plan, outcomes)
    searched = (yield from _verify(plan, outcomes, journal)) if request.verify else None
    _write_proofs(plan)
    write_report(request.out, report_of(plan, outcomes, searched=searched))
    dated = "retain-modified-dates" in plan.profile.options
    write_if_asked(request.crosswalk, request.lock, plan.identities, plan.pseudonyms, dated=dated, dataset=request.out)
    write_atomic(DatasetFolder(request.out).manifest, manifest_of(plan, outcomes).to_json())
    journal.remove()
    yield IngestDone(result_of(plan, outcomes, seconds=time.monotonic() - started))


def nothing_exported(plan: Plan, outcomes: Sequence[Written]) -> NoInputError:
    """The error where every object was held back; but for a dry run, the report says why of each."""
    if is_reported := not plan.request.dry_run:
        write_report_of_nothing(plan.request.out, report_of(plan, outcomes))
        _write_proofs(plan)
    held = Counter(result_of(plan, outcomes, seconds=0).quarantined_by_reason)
    return nothing_usable("DICOM object", held, is_reported=is_reported)


def _write_proofs(plan: Plan) -> None:
    """A picture of where text was found in what is held back, named as the report names the file; no letter in it."""
    for source, verdict in plan.verdicts.items():
        if verdict.proof:
            write_atomic(plan.request.out / "quarantine" / f"{plan.pseudonyms.file(source.name)}.png", verdict.proof)


def _batches(plan: Plan, crew: Crew, journal: Journal[Written]) -> Generator[Progress, None, tuple[Written, ...]]:
    """Yield progress by object; the value is the outcome of every batch, those of an earlier run from the journal."""
    marks = {batch: plan.pseudonyms.fingerprint(_fingerprint(batch)) for batch in plan.batches}
    done = {
        batch: outcome
        for batch in plan.batches
        if (outcome := journal.outcome(marks[batch])) and _is_intact(plan.request.out, outcome)
    }
    left = [batch for batch in plan.batches if batch not in done]
    total = sum(len(batch.objects) for batch in plan.batches)
    written = sum(len(batch.objects) for batch in done)
    exporter = Exporter(plan.request.out, plan.profile, plan.pseudonyms.uid_key())
    for batch, outcome in zip(left, crew.map(exporter, left), strict=True):
        os.sync()  # one flush for all objects of a batch, while workers go on; then they count as written
        journal.add(marks[batch], outcome)
        done[batch] = outcome
        written += len(batch.objects)
        yield Progress("writing objects", written, total)
    return tuple(done[batch] for batch in plan.batches)


def _fingerprint(batch: Batch) -> str:
    """Everything that the result of a batch depends on: its files by size and time, and their names."""
    lines = [batch.folder]
    for (source, name), paint in zip(batch.objects, batch.paint, strict=True):
        status = source.path.stat()
        # What is painted depends on the other files of the series, too.
        lines.append(f"{source.name}:{name}:{status.st_size}:{status.st_mtime_ns}:{paint.boxes}")
    return SEPARATOR.join(lines)


def _is_intact(out: Path, outcome: Written) -> bool:
    return all((out / name).is_file() for name in outcome.sha256)


def _settings(plan: Plan) -> str:
    parts = (
        "dicom",
        plan.request.pixels,
        plan.request.faces,
        str(plan.request.source.resolve()),
        plan.profile.to_json(),
    )
    return plan.pseudonyms.fingerprint(SEPARATOR.join(parts))


def _verify(plan: Plan, outcomes: Sequence[Written], journal: Journal[Written]) -> Generator[Progress, None, Searched]:
    """Search what was written and what is about to be; on a hit all of it is removed."""
    report = report_of(plan, outcomes)
    documents = (report.to_json(), as_html(report), manifest_of(plan, outcomes).to_json())
    found = yield from search(plan, outcomes, documents)
    if found.hits:
        _discard(plan, outcomes, journal)
        raise leak(found)
    return found


def _discard(plan: Plan, outcomes: Sequence[Written], journal: Journal[Written]) -> None:
    out = plan.request.out
    for outcome in outcomes:
        for name in outcome.sha256:
            (out / name).unlink(missing_ok=True)
    journal.remove()
    for folder in sorted((path for path in out.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    if not any(out.iterdir()):
        out.rmdir()
