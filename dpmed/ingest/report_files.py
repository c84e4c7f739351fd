"""The scrub report in the dataset's folder, as JSON and as a page; also where no dataset came about."""

from pathlib import Path

from dpmed.core.files import write_atomic
from dpmed.core.folders import DatasetFolder
from dpmed.ingest.page import as_html
from dpmed.ingest.report import ScrubReport


def write_report(out: Path, report: ScrubReport) -> None:
    """Both forms, each written aside and renamed."""
    path = DatasetFolder(out).scrub_report
    write_atomic(path, report.to_json())
    write_atomic(path.with_suffix(".html"), as_html(report))


def write_report_of_nothing(out: Path, report: ScrubReport) -> None:
    """The same where every file was held back: it says why, and neither a manifest nor a search is claimed."""
    out.mkdir(parents=True, exist_ok=True)
    write_report(out, report.model_copy(update={"manifest_sha256": "", "verified": None}))
