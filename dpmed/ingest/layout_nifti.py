"""NIfTI in BraTS folders, in the Decathlon or nnU-Net layout, or as plain files with a CSV."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from dpmed.core.errors import ConfigError
from dpmed.core.manifest import Task
from dpmed.ingest.detect import BRATS_NAME, decathlon_root
from dpmed.ingest.jobs import Candidate, HeldBack, Layout, Part
from dpmed.ingest.origin import Origin
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.roster import Roster, Row, of_rows
from dpmed.ingest.sources import Source

SEQUENCES = {
    "t1": "t1", "t1w": "t1", "t1n": "t1",
    "t1ce": "t1ce", "t1gd": "t1ce", "t1c": "t1ce",
    "t2": "t2", "t2w": "t2",
    "flair": "flair", "t2f": "flair",
    "ct": "ct", "mr": "mr", "mri": "mr",
}  # fmt: skip
"""Names of sequences in published sets, to dpmed's own."""
MASK = "seg"
# BraTS since 2023: BraTS-<group>-<patient>-<time point>; scans at different times are one patient.
TIME_POINT = re.compile(r"^(BraTS-[A-Z]+-\d+)-\d{3}$", re.IGNORECASE)
CHANNEL = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$")
CHANNEL_NUMBER = re.compile(r"[0-9]{1,4}")
NIFTI_SUFFIX = re.compile(r"\.nii(\.gz)?$", re.IGNORECASE)
CASE_IS_PATIENT = (
    "no label file: each case name is taken as one patient. If a patient has several scans, say so with --labels CSV"
    " (columns case, patient), or the guarantee will be per scan"
)


def brats_layout(files: Sequence[Source], roster: Roster | None) -> Layout:
    """`<case>/<case>_<sequence>.nii.gz`, any subset of sequences."""
    cases: dict[tuple[str, str], list[tuple[str, Source]]] = defaultdict(list)
    held = []
    for file in files:
        path = PurePosixPath(file.name)
        match = BRATS_NAME.match(path.name)
        if match is None:
            held.append(HeldBack("file", (file,), Reason.UNKNOWN_NAME))
            continue
        sequence = match["sequence"].lower()
        cases[(str(path.parent), match["case"])].append((SEQUENCES.get(sequence, sequence), file))
    candidates = []
    for (folder, name), found in sorted(cases.items()):
        try:
            parts = [Part(sequence, (file,)) for sequence, file in found]
            candidates.append(_candidate(name, f"{folder}/{name}", parts, roster))
        except Refused as refused:
            held.append(HeldBack("case", tuple(file for _, file in found), refused.reason))
    return Layout(tuple(candidates), tuple(held), () if roster else (CASE_IS_PATIENT,))


def decathlon_layout(sources: Sequence[Source], files: Sequence[Source], roster: Roster | None) -> Layout:
    """`imagesTr/<case>.nii.gz` with channels as a fourth axis, or `<case>_0000.nii.gz` one file a channel."""
    prefix = decathlon_root(sources) or ""
    channels = _channels(next(source for source in sources if source.name == f"{prefix}dataset.json"))
    images = [file for file in files if file.name.startswith(f"{prefix}imagesTr/")]
    masks = {_bare(file): file for file in files if file.name.startswith(f"{prefix}labelsTr/")}
    cases: dict[str, list[Part]] = defaultdict(list)
    for file in images:
        match = CHANNEL.match(_bare(file))
        if match and _bare(file) not in masks:
            cases[match["case"]].append(Part(_channel(channels, int(match["channel"])), (file,)))
        else:
            several = len(channels) > 1
            cases[_bare(file)] += [Part(name, (file,), channel=n if several else None) for n, name in channels.items()]
    candidates, held = [], []
    for name, parts in sorted(cases.items()):
        masked = [*parts, Part(MASK, (masks.pop(name),))] if name in masks else parts
        try:
            candidates.append(_candidate(name, name, masked, roster))
        except Refused as refused:
            held.append(HeldBack("case", tuple(file for part in masked for file in part.files), refused.reason))
    held += [HeldBack("file", (file,), Reason.NO_IMAGE) for file in masks.values()]
    apart = len(files) - len(images) - sum(file.name.startswith(f"{prefix}labelsTr/") for file in files)
    notes = [] if roster else [CASE_IS_PATIENT]
    notes += [f"{apart} NIfTI files outside imagesTr and labelsTr are left out"] if apart else []
    return Layout(tuple(candidates), tuple(held), tuple(notes))


def plain_layout(files: Sequence[Source], roster: Roster | None, task: Task) -> Layout:
    """Any NIfTI files; the CSV says whose each is and, unless the task needs CT, which `modality`."""
    if roster is None:
        raise ConfigError(
            "plain NIfTI files need a label file", hint="--labels CSV with image, patient, label or modality"
        )
    cases: dict[str, list[tuple[Row, Source]]] = defaultdict(list)
    held = []
    masks = {row.mask for row in roster.rows if row.mask}
    by_name = {form: file for file in files for form in (file.name, PurePosixPath(file.name).name)}
    for file in files:
        rows = roster.of_name(file.name)
        if rows:
            cases[rows[0].case or file.name].append((rows[0], file))
        elif not masks & {file.name, PurePosixPath(file.name).name}:
            held.append(HeldBack("file", (file,), Reason.NO_PATIENT))
    candidates = []
    for name, found in sorted(cases.items()):
        parts = [Part(_declared_modality(row, task), (file,)) for row, file in found]
        parts += [Part(MASK, (by_name[row.mask],)) for row, _ in found[:1] if row.mask in by_name]
        try:
            candidates.append(_assembled(name, parts, (found[0][0],)))
        except Refused as refused:
            held.append(HeldBack("case", tuple(file for _, file in found), refused.reason))
    return Layout(tuple(candidates), tuple(held))


def _candidate(name: str, scan: str, parts: Sequence[Part], roster: Roster | None) -> Candidate:
    if roster is None:
        rule = TIME_POINT.match(name)
        return _assembled(scan, parts, (), identity=rule[1] if rule else name)
    rows = roster.of_name(name) or next((rows for part in parts if (rows := roster.of_name(part.files[0].name))), ())
    if not rows:
        raise Refused(Reason.NO_PATIENT)
    return _assembled(scan, parts, rows)


def _assembled(scan: str, parts: Iterable[Part], rows: Sequence[Row], *, identity: str = "") -> Candidate:
    images = [part for part in parts if part.modality != MASK]
    masks = [part for part in parts if part.modality == MASK]
    if not images:
        raise Refused(Reason.NO_IMAGE)
    if len({part.modality for part in images}) != len(images) or len(masks) > 1:
        raise Refused(Reason.MODALITY_TWICE)
    row = rows[0] if rows else None
    return Candidate(
        identity=row.patient if row else identity,
        scan=scan,
        parts=tuple(sorted(images, key=lambda part: part.modality)),
        mask=masks[0] if masks else None,
        label=row.label if row else None,
        split=row.split if row else None,
        origin=Origin(**of_rows(rows)),
    )


def _declared_modality(row: Row, task: Task) -> str:
    if row.modality and row.modality not in SEQUENCES:
        raise ConfigError(f"line {row.number} of the label file has an unknown modality", hint=f"use {_known()}")
    if not row.modality and task != "covid-ct":
        raise ConfigError(
            "which sequence a plain NIfTI file is cannot be told from it",
            hint=f"add a column modality to the label file ({_known()}), or use BraTS names",
        )
    return SEQUENCES[row.modality or "ct"]


def _channels(description: Source) -> Mapping[int, str]:
    """Channel numbers to sequences, from `channel_names` (nnU-Net) or `modality` (Decathlon)."""
    content = json.loads(description.path.read_bytes())
    named = content.get("channel_names") or content.get("modality")
    if not isinstance(named, dict) or not all(CHANNEL_NUMBER.fullmatch(key) for key in named):
        raise ConfigError("dataset.json names no channels", hint='for example "channel_names": {"0": "FLAIR"}')
    channels = {int(key): SEQUENCES.get(str(name).lower()) for key, name in sorted(named.items())}
    unknown = [number for number, name in channels.items() if name is None]
    if unknown:
        raise ConfigError(f"dataset.json gives channel {unknown[0]} an unknown name", hint=f"use {_known()}")
    return {number: name for number, name in channels.items() if name is not None}


def _channel(channels: Mapping[int, str], number: int) -> str:
    if number not in channels:
        raise ConfigError(f"dataset.json does not name channel {number}", hint=f"use {_known()}")
    return channels[number]


def _known() -> str:
    return ", ".join(sorted(SEQUENCES))


def _bare(file: Source) -> str:
    return NIFTI_SUFFIX.sub("", PurePosixPath(file.name).name)
