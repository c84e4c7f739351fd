"""Image slices with a CSV: each picture is one case of the patient its row names."""

from collections import defaultdict
from collections.abc import Sequence

from dpmed.core.errors import ConfigError
from dpmed.ingest.jobs import Candidate, HeldBack, Layout, Part
from dpmed.ingest.origin import Origin
from dpmed.ingest.reasons import Reason
from dpmed.ingest.roster import Roster, of_rows
from dpmed.ingest.sources import Source

MODALITIES = frozenset({"ct", "xray"})


def picture_layout(files: Sequence[Source], roster: Roster | None) -> Layout:
    """Match pictures and rows by name; one row for two pictures is refused, as it cannot be told which is meant."""
    if roster is None:
        raise ConfigError(
            "image slices need a label file that says whose they are", hint="--labels CSV with image, patient, label"
        )
    candidates, held = [], []
    matched: dict[int, list[Source]] = defaultdict(list)
    for file in files:
        rows = roster.of_name(file.name)
        if not rows:
            held.append(HeldBack("file", (file,), Reason.NO_PATIENT))
            continue
        row = rows[0]
        matched[row.number].append(file)
        if row.modality and row.modality not in MODALITIES:
            raise ConfigError(f"line {row.number} of the label file has an unknown modality", hint="use ct or xray")
        part = Part(row.modality or "ct", (file,))
        candidates.append(
            Candidate(
                identity=row.patient,
                scan=file.name,
                parts=(part,),
                label=row.label,
                split=row.split,
                origin=Origin(**of_rows(rows)),
            )
        )
    torn = sum(len(found) > 1 for found in matched.values())
    if torn:
        raise ConfigError(
            f"{torn} rows of the label file fit several pictures each", hint="give the path inside SOURCE, not the name"
        )
    return Layout(tuple(candidates), tuple(held))
