"""DICOM: files → series → patients. One series is one case."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

from dpmed.ingest.dicom import SliceHeader
from dpmed.ingest.geometry import Plane, stack
from dpmed.ingest.jobs import Candidate, HeldBack, Layout, Part
from dpmed.ingest.pseudonyms import SEPARATOR
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.roster import Roster, Row
from dpmed.ingest.sources import Source


def dicom_layout(headers: Mapping[Source, SliceHeader], roster: Roster | None) -> Layout:
    """Group slices into series, each with its patient, label and place. Labels go by path, then by PatientID."""
    by_series: dict[str, list[Source]] = defaultdict(list)
    for source, header in headers.items():
        by_series[header.series].append(source)
    candidates, held = [], []
    for series, files in sorted(by_series.items()):
        try:
            candidates.append(_candidate(series, files, [headers[file] for file in files], roster))
        except Refused as refused:
            held.append(HeldBack("series", tuple(files), refused.reason))
    return Layout(tuple(candidates), tuple(held))


def _candidate(
    series: str, files: Sequence[Source], headers: Sequence[SliceHeader], roster: Roster | None
) -> Candidate:
    if len({(header.patient, header.issuer) for header in headers}) > 1:
        raise Refused(Reason.TWO_PATIENTS)
    rows = _rows(files, headers[0], roster)
    if len({(header.rows, header.columns, header.modality) for header in headers}) > 1:
        raise Refused(Reason.MIXED_SIZE)
    placed = stack(_planes(headers))
    modality = _modality(headers[0], rows)
    part = Part(modality, tuple(files), headers=tuple(headers), stack=placed)
    return Candidate(
        identity=_identity(headers[0], rows),
        scan=series,
        parts=(part,),
        label=_label(rows),
        split=next((row.split for row in rows if row.split), None),
        intensity="hounsfield" if all(header.is_hounsfield for header in headers) else "arbitrary",
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


def _planes(headers: Sequence[SliceHeader]) -> list[Plane]:
    planes = [header.plane for header in headers if header.plane is not None]
    if len(planes) != len(headers):
        raise Refused(Reason.NO_GEOMETRY)
    return planes
