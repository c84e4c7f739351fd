"""The first half of an ingest: look at everything, write nothing."""

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path

from dpmed.core.errors import ConfigError
from dpmed.core.events import Note, Progress
from dpmed.core.manifest import Task
from dpmed.ingest.detect import Detected, Kind, detect
from dpmed.ingest.jobs import HeldBack, Layout, admitted
from dpmed.ingest.layout_dicom import dicom_layout
from dpmed.ingest.layout_nifti import brats_layout, decathlon_layout, plain_layout
from dpmed.ingest.layout_pictures import picture_layout
from dpmed.ingest.pool import ordered_map, workers_for
from dpmed.ingest.request import IngestRequest
from dpmed.ingest.roster import Roster, read_roster
from dpmed.ingest.scan import Scan, Scanner
from dpmed.ingest.sources import Inventory, inventory


@dataclass(frozen=True)
class Survey:
    """What the input holds and what can be made of it. `tokens` are original strings, for --verify, in memory only."""

    kind: Kind
    task: Task
    layout: Layout
    files: int
    ignored: int
    missing: int
    labels_unmatched: int
    removed: Counter[str]
    tokens: frozenset[bytes] = field(default=frozenset(), repr=False)

    @property
    def images_in(self) -> int:
        """Image files (masks included) that were meant to become part of the dataset."""
        usable = sum(len(candidate.files) for candidate in self.layout.candidates)
        return usable + self.images_held

    @property
    def images_held(self) -> int:
        """Image files held back so far."""
        return self.missing + sum(len(held.files) for held in self.layout.held)


def survey(request: IngestRequest, scratch: Path) -> Generator[Progress | Note, None, Survey]:
    """Yield progress while looking at every file; the value of `yield from` is the `Survey`."""
    listed = inventory(request.source, scratch=scratch)
    detected = detect(listed.files)
    yield Note(f"{detected.kind}: {len(detected.files)} image files of {len(listed.files)}")
    roster = _roster(request, detected.kind)
    task = _task(request, detected.kind, roster)
    scanner = Scanner(detected.kind, harvest=request.verify, masks=request.label_scheme is not None)
    workers = workers_for(len(detected.files), request.workers)
    scans = []
    for scan in ordered_map(scanner, detected.files, workers=workers):
        scans.append(scan)
        yield Progress("reading headers", len(scans), len(detected.files))
    layout = admitted(_layout(listed, detected, scans, roster, task), task)
    layout = _with_declared_masks(layout, request, task)
    for note in (*layout.notes, *_remarks(listed)):
        yield Note(note)
    return Survey(
        kind=detected.kind,
        task=task,
        layout=layout,
        files=len(listed.files),
        ignored=detected.ignored + sum(scan.is_index for scan in scans),
        missing=listed.missing,
        labels_unmatched=roster.unmatched if roster else 0,
        removed=sum((scan.removed for scan in scans), Counter()),
        tokens=frozenset().union(*(scan.tokens for scan in scans)),
    )


def _remarks(listed: Inventory) -> list[str]:
    return [f"{listed.links_skipped} symbolic links were not followed"] if listed.links_skipped else []


def _roster(request: IngestRequest, kind: Kind) -> Roster | None:
    """Labels of voxels come as masks: for segmentation, a column `label` is not read."""
    if request.labels is None:
        return None
    segments = request.task == "brats" or (request.task is None and kind in {Kind.BRATS, Kind.DECATHLON})
    return read_roster(request.labels, with_labels=not segments)


def _task(request: IngestRequest, kind: Kind, roster: Roster | None) -> Task:
    has_labels = roster is not None and roster.has_labels
    if request.task == "covid-ct" and not has_labels:
        raise ConfigError(
            "covid-ct needs a label for each image or patient", hint="--labels CSV with image or case, patient, label"
        )
    if request.task is not None:
        return request.task
    if kind in {Kind.BRATS, Kind.DECATHLON}:
        return "brats"
    if has_labels:
        return "covid-ct"
    if kind is Kind.PICTURES:
        raise ConfigError("image slices need labels", hint="--labels CSV with image, patient, label")
    raise ConfigError(
        f"{kind} alone does not say what it is for",
        hint="--task brats for segmentation, or --task covid-ct with --labels CSV for classification",
    )


def _layout(listed: Inventory, detected: Detected, scans: list[Scan], roster: Roster | None, task: Task) -> Layout:
    if detected.kind is Kind.DICOM:
        masks = {scan.source: scan.segments for scan in scans if scan.segments}
        layout = dicom_layout({scan.source: scan.slices for scan in scans if scan.slices}, roster, masks)
    elif detected.kind is Kind.BRATS:
        layout = brats_layout(detected.files, roster)
    elif detected.kind is Kind.DECATHLON:
        layout = decathlon_layout(listed.files, detected.files, roster)
    elif detected.kind is Kind.NIFTI:
        layout = plain_layout(detected.files, roster, task)
    else:
        layout = picture_layout(detected.files, roster)
    refused = [HeldBack("file", (scan.source,), scan.reason) for scan in scans if scan.reason]
    refused += [HeldBack("file", (source,), reason) for source, reason in detected.refused.items()]
    return replace(layout, held=(*layout.held, *refused))


def _with_declared_masks(layout: Layout, request: IngestRequest, task: Task) -> Layout:
    masked = sum(candidate.mask is not None for candidate in layout.candidates)
    if not masked or request.label_scheme is not None:
        return layout
    if task == "brats":
        raise ConfigError(
            f"{masked} cases have masks, and what their numbers mean is not declared",
            hint="--label-scheme brats (1, 2, 4), brats2013 (1 to 4), binary (1) or a TOML FILE",
        )
    bare = tuple(replace(candidate, mask=None) for candidate in layout.candidates)
    return replace(layout, candidates=bare, notes=(*layout.notes, "masks are left out: no --label-scheme"))
