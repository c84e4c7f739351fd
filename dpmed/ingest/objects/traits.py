"""What the headers of objects that stayed DICOM still say of their patients, as rows for counting."""

import datetime
from collections.abc import Iterable, Mapping

from dpmed.ingest.linkage import LABEL, PATIENT, Row


def rows_of_traits(series: Iterable[tuple[str, Mapping[str, str], object]]) -> tuple[Row, ...]:
    """Rows for objects that stayed DICOM: patient, what their headers still say (see `Scrubbed.traits`), label.

    Of a date that was moved by an unknown number of days, only its distance from the patient's others can be linked.
    """
    series = tuple(series)
    first: dict[str, int] = {}
    days = [_ordinal(traits.get("study_date", "")) for _, traits, _ in series]
    for (patient, _, _), day in zip(series, days, strict=True):
        if day is not None:
            first[patient] = min(day, first.get(patient, day))
    return tuple(
        {
            PATIENT: patient,
            LABEL: label,
            **{name: value for name, value in traits.items() if name != "study_date"},
            "study_day": None if day is None else day - first[patient],
        }
        for (patient, traits, label), day in zip(series, days, strict=True)
    )


def _ordinal(date: str) -> int | None:
    try:
        return datetime.datetime.strptime(date, "%Y%m%d").toordinal()
    except ValueError:
        return None
