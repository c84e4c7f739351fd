"""The answers as tables: one line a scan, one line a patient; CSV for people, JSON for programs."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from dpmed.core.files import write_atomic
from dpmed.evaluate.classification import THRESHOLD
from dpmed.predict.request import Answer, PredictDone

SCANS, PATIENTS, ALL = "scans.csv", "patients.csv", "predictions.json"
PRIVATE = 0o600
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet compute a cell; a text from a file that begins so gets an apostrophe in front (OWASP)."""


def write_tables(done: PredictDone) -> None:
    """`scans.csv`, `predictions.json` and, for classification, `patients.csv`, to be read by their owner alone."""
    write_atomic(done.out / ALL, json.dumps(payload(done), indent=1, allow_nan=False) + "\n", mode=PRIVATE)
    rows = [_flat(row) for row in payload(done)["scans"]]
    _write_csv(done, SCANS, sorted({column: None for row in rows for column in row}, key=_place), rows)
    if done.patients:
        _write_csv(done, PATIENTS, ("patient", "probability", "positive"), patients_of(done))


def payload(done: PredictDone) -> dict[str, Any]:
    """Everything that was found, patients by their own names: for files of the owner, not for messages."""
    return {
        "task": done.task.kind,
        "outputs": list(done.task.outputs),
        "threshold": THRESHOLD,
        "privacy": done.statement.words,
        "scans": [
            *(_answered(answer) for answer in done.answers),
            *({"scan": refusal.scan, "refused": refusal.reason} for refusal in done.refusals),
        ],
        "patients": patients_of(done),
    }


def patients_of(done: PredictDone) -> list[dict[str, Any]]:
    """A patient's probability and what it is called at the threshold."""
    return [
        {"patient": patient, "probability": probability, "positive": probability >= THRESHOLD}
        for patient, probability in done.patients.items()
    ]


def _answered(answer: Answer) -> dict[str, Any]:
    first = answer.candidate.parts[0]
    series = first.headers[0].series if first.headers else None
    row: dict[str, Any] = {"scan": answer.scan, "patient": answer.patient, "input": first.files[0].name}
    row |= {"series": series} if series else {}
    row |= {"probability": answer.probability} if answer.volumes_ml is None else {"volumes_ml": answer.volumes_ml}
    return row | {"files": list(answer.files)} | ({"remark": answer.remark} if answer.remark else {})


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    flat = {**row, **{f"{region}_ml": ml for region, ml in (row.get("volumes_ml") or {}).items()}}
    flat.pop("volumes_ml", None)
    return flat | ({"files": " ".join(row["files"])} if "files" in row else {})


def _place(column: str) -> int:
    order = ("scan", "patient", "input", "series", "probability")
    return order.index(column) if column in order else len(order) + (column in {"files", "remark", "refused"})


def _write_csv(done: PredictDone, name: str, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows({column: _cell(value) for column, value in row.items()} for row in rows)
    write_atomic(done.out / name, text.getvalue(), mode=PRIVATE)


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return round(value, 6) if isinstance(value, float) else value
