"""The scrub report: what came in, what was removed, what was kept and why, what is held back. Counts, never values."""

import html
from importlib import resources
from string import Template
from typing import Literal

from pydantic import Field

from dpmed import __version__
from dpmed.core.record import Record
from dpmed.ingest.allowed import GROUPING, KEPT
from dpmed.ingest.identifiers import table
from dpmed.ingest.reasons import Reason
from dpmed.ingest.rules.table import edition
from dpmed.ingest.verify import Searched

LIMITS = (
    "Text burned into pixels is not looked for in this version: kinds of pictures that usually carry it (ultrasound,"
    " screenshots, secondary captures) and files that declare it are held back; look at a sample of the others.",
    "Faces are not removed in this version: a head scan shows its owner's face. Deface head images first.",
    "Pseudonyms can be traced back by whoever holds the key file. Keep it apart from the dataset.",
)
PSEUDONYMS = "HMAC-SHA-256 under a key file outside the dataset, one subkey per purpose; files are named by it too."
DATES = "No date and no time is kept. Scans of one patient carry no order."


class HeldLine(Record):
    """One line of the quarantine, by place in the input."""

    what: str
    short: str
    files: int
    reason: str


class ScrubReport(Record):
    """The audit of one ingest."""

    schema_: Literal["dpmed.scrub/1"] = Field(default="dpmed.scrub/1", alias="schema")
    dpmed_version: str = __version__
    profile: str = "training"
    rules: str = ""
    kind: str = ""
    task: str = ""
    files: int = 0
    ignored: int = 0
    images_in: int = 0
    images_out: int = 0
    duplicates: int = 0
    quarantined: int = 0
    patients: int = 0
    cases: int = 0
    labels_unmatched: int = 0
    identifiers_removed: dict[str, int] = Field(default_factory=dict)
    kept: dict[str, str] = Field(default_factory=dict)
    pseudonyms: str = PSEUDONYMS
    dates: str = DATES
    quarantine: tuple[HeldLine, ...] = ()
    limits: tuple[str, ...] = LIMITS
    notes: tuple[str, ...] = ()
    verified: bool | None = None
    searched: Searched | None = None

    def to_json(self) -> str:
        """JSON text, with the schema under its public name."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


def rules() -> str:
    """Which rule set was applied, in one phrase."""
    return f"allow-list of {len(KEPT)} attributes; PS3.15 E.1-1 Basic Profile {edition()}, {len(table())} attributes"


KEPT_FROM_DICOM = KEPT | GROUPING
KEPT_FROM_NIFTI = {"voxels": "the image", "affine": "place, direction and size of voxels"}
KEPT_FROM_PICTURES = {"pixels": "the image, as grey values", "orientation": "applied to the pixels, then dropped"}


def as_html(report: ScrubReport) -> str:
    """The report as one self-contained page."""
    page = Template(resources.files("dpmed.ingest").joinpath("report.html").read_text())
    return page.substitute(
        version=html.escape(report.dpmed_version),
        summary=_table(_summary(report)),
        removed=_table({name: str(n) for name, n in sorted(report.identifiers_removed.items(), key=_by_count)})
        or "<p>Nothing was found that had to be removed.</p>",
        kept=_table(report.kept),
        quarantine=_quarantine(report),
        pseudonyms=html.escape(report.pseudonyms),
        dates=html.escape(report.dates),
        rules=html.escape(report.rules),
        limits="".join(f"<li>{html.escape(text)}</li>" for text in (*report.limits, *report.notes)),
        verified=_verified(report.verified),
    )


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def _summary(report: ScrubReport) -> dict[str, str]:
    return {
        "Input": f"{report.kind}, {report.files} files ({report.ignored} of no concern)",
        "Task": report.task,
        "Images in": str(report.images_in),
        "Images in the dataset": str(report.images_out),
        "Duplicates dropped": str(report.duplicates),
        "Held back": str(report.quarantined),
        "Patients": str(report.patients),
        "Cases": str(report.cases),
        "Labels without an image": str(report.labels_unmatched),
    }


def _table(rows: dict[str, str]) -> str:
    if not rows:
        return ""
    lines = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows.items())
    return f"<table>{''.join(lines)}</table>"


def _quarantine(report: ScrubReport) -> str:
    if not report.quarantine:
        return "<p>Nothing was held back.</p>"
    head = "<tr><th>Where in the input</th><th>Files</th><th>Reason</th><th>Keyed name</th></tr>"
    lines = (
        f"<tr><td>{html.escape(line.what)}</td><td>{line.files}</td><td>{html.escape(line.reason)}</td>"
        f"<td><code>{html.escape(line.short)}</code></td></tr>"
        for line in report.quarantine
    )
    return f"<table>{head}{''.join(lines)}</table>"


def _verified(verified: bool | None) -> str:
    if verified is None:
        return "Not searched: run with --verify to look for every original identifier in every byte written."
    return "Every original identifier was searched for in every byte written; none was found."


def own_words() -> bytes:
    """All text that reports and manifests hold of themselves: words in it, found again, identify nobody."""
    empty = ScrubReport(rules=rules(), kept=KEPT_FROM_DICOM | KEPT_FROM_NIFTI | KEPT_FROM_PICTURES)
    classes = " ".join({*table().values(), "private tags unknown attributes file names"})
    reasons = " ".join(reason.value for reason in Reason)
    return f"{empty.to_json()}{as_html(empty)}{classes} {reasons}".encode()
