"""DICOM: files → series → volumes → patients. One volume is one case; most series are one volume."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

from dpmed.ingest.dicom import SliceHeader
from dpmed.ingest.division import Division, Subseries, divide
from dpmed.ingest.jobs import Candidate, HeldBack, Layout, Part
from dpmed.ingest.layout_masks import with_masks
from dpmed.ingest.pseudonyms import SEPARATOR
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.roster import Roster, Row, of_rows
from dpmed.ingest.segments import Segments
from dpmed.ingest.sources import Source


def dicom_layout(
    headers: Mapping[Source, Sequence[SliceHeader]],
    roster: Roster | None,
    masks: Mapping[Source, Segments] | None = None,
) -> Layout:
    """Group slices into volumes, each with its patient, label and place. Labels go by path, then by PatientID.

    A segmentation becomes the mask of the one volume of its series that it fits.
    """
    by_series: dict[str, list[tuple[Source, SliceHeader]]] = defaultdict(list)
    for source, slices in headers.items():
        for header in slices:
            by_series[header.series].append((source, header))
    candidates, held = [], []
    for series, members in sorted(by_series.items()):
        files = [file for file, _ in members]
        try:
            volumes, rests = _divided(members)
            candidates += [_candidate(series, volume, members, roster) for volume in volumes]
            held += [HeldBack("series", _files(members, rest.slices), rest.reason) for rest in rests]
        except Refused as refused:
            held.append(HeldBack("series", tuple(dict.fromkeys(files)), refused.reason))
    candidates, apart = with_masks(candidates, masks or {})
    return Layout(tuple(candidates), (*held, *apart))


def _divided(slices: Sequence[tuple[Source, SliceHeader]]) -> Division:
    headers = [header for _, header in slices]
    if len({(header.patient, header.issuer) for header in headers}) > 1:
        raise Refused(Reason.TWO_PATIENTS)
    return divide(headers)


def _files(slices: Sequence[tuple[Source, SliceHeader]], wanted: Sequence[int]) -> tuple[Source, ...]:
    return tuple(dict.fromkeys(slices[n][0] for n in wanted))


def _candidate(
    series: str, volume: Subseries, slices: Sequence[tuple[Source, SliceHeader]], roster: Roster | None
) -> Candidate:
    files, headers = zip(*(slices[n] for n in volume.slices), strict=True)
    rows = _rows(files, headers[0], roster)
    # What the label file declares of a series cannot be meant for each of its volumes.
    modality = headers[0].modality if volume.mark else _modality(headers[0], rows)
    part = Part(modality, files, headers=headers, stack=volume.stack)
    return Candidate(
        identity=_identity(headers[0], rows),
        scan=f"{series}{volume.mark}",
        parts=(part,),
        label=_label(rows),
        split=next((row.split for row in rows if row.split), None),
        intensity="hounsfield" if all(header.is_hounsfield for header in headers) else "arbitrary",
        origin=headers[0].origin.filled(**of_rows(rows)),
    )


def _rows(files: Sequence[Source], header: SliceHeader, roster: Roster | None) -> tuple[Row, ...]:
    if roster is None:
        return ()
    by_path = tuple(dict.fromkeys(row for file in files for row in roster.of_path(file.name)))
    if by_path:
        return by_path
    return roster.of_patient(header.patient) if header.patient else ()


def _identity(header: SliceHeader, rows: Sequence[Row]) -> str:
    """The original patient: PatientID with its issuer, or what the label file says where the header is silent."""
    named = {row.patient for row in rows}
    if len(named) > 1 or (named and header.patient and header.patient not in named):
        raise Refused(Reason.PATIENT_CONFLICT)
    if not header.patient:
        return next(iter(named), "")
    return f"{header.issuer}{SEPARATOR}{header.patient}" if header.issuer else header.patient


def _label(rows: Sequence[Row]) -> Literal[0, 1] | None:
    labels = {row.label for row in rows if row.label is not None}
    if len(labels) > 1:
        raise Refused(Reason.LABEL_CONFLICT)
    return next(iter(labels), None)


def _modality(header: SliceHeader, rows: Sequence[Row]) -> str:
    """The sequence that the label file declares for an MR series, else the modality of the header."""
    declared = {row.modality for row in rows if row.modality}
    return declared.pop() if header.modality == "mr" and len(declared) == 1 else header.modality
