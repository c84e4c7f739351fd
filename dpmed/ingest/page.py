"""The scrub report as one page to print and sign. Everything on it stands in the JSON too; nothing is loaded."""

import html
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib import resources
from string import Template

from dpmed.ingest.cures import cure
from dpmed.ingest.hipaa import CLASSES, EIGHTEEN, letters
from dpmed.ingest.linkage import Anonymity
from dpmed.ingest.report import HeldLine, ScrubReport

MOST_REASONS = 6
"""On the first page; the rest stands in the annex."""
MOST_LINES = 40
"""Places of files on the page; the JSON names all of them."""
CHOICES = (
    "may be used for the purpose agreed",
    "may be used once the notes overleaf are met",
    "may not be used",
)
NOT_LOOKED_FOR = "not looked for"


def as_html(report: ScrubReport) -> str:
    """The report as one self-contained page."""
    page = Template(resources.files("dpmed.ingest").joinpath("report.html").read_text(encoding="utf-8"))
    removed = sorted(report.identifiers_removed.items(), key=lambda item: (-item[1], item[0]))
    return page.substitute(
        version=html.escape(report.dpmed_version),
        profile=html.escape(report.profile),
        verdict=_verdict(report),
        tiles=_tiles(report),
        flow=_rows(_flow(report)),
        removed=_table(("class", "of the eighteen", "places"), [(name, letters(name), _n(n)) for name, n in removed])
        or "<p>Nothing was found that had to be removed.</p>",
        pixels=_rows(_handled(report)),
        linkage=_linkage(report),
        reasons=_reasons(report.quarantine),
        search=_rows(_search(report)),
        limits="".join(f"<li>{html.escape(text)}</li>" for text in (*report.limits, *report.notes)),
        decision=_decision(report),
        rules=_rows(_rule_set(report)),
        kept=_rows(report.kept),
        places=_places(report.quarantine),
        eighteen=_rows({f"{letter}. {name}": _class_names(letter) for letter, name in EIGHTEEN.items()}),
    )


def _decision(report: ScrubReport) -> str:
    if not report.manifest_sha256:
        return "<p>I have read this report. No dataset was made: there is nothing to be used.</p>"
    digest = html.escape(report.manifest_sha256)
    choices = "".join(f"<span>{one}</span>" for one in CHOICES)
    dataset = f'The dataset whose manifest.json has the SHA-256 <span class="hash">{digest}</span>'
    return f'<p>I have read this report. {dataset}</p><p class="choice">{choices}</p>'


def _verdict(report: ScrubReport) -> str:
    if not report.images_out:
        return "<b>No dataset was made:</b> every image is held back."
    if report.verified is None:
        return "The output was not searched again; <code>--verify</code> does that."
    return "All output was searched again for every identifier that came in: <b>none was found</b>."


def _tiles(report: ScrubReport) -> str:
    numbers = {
        "patients": report.patients,
        "images in the dataset": report.images_out,
        "identifiers removed": sum(report.identifiers_removed.values()),
        "images held back": report.quarantined,
    }
    return "".join(f"<div><b>{_n(number)}</b>{html.escape(name)}</div>" for name, number in numbers.items())


def _flow(report: ScrubReport) -> dict[str, str]:
    rows = {
        "Input": f"{report.kind}; {_n(report.files)} files, {_n(report.ignored)} of them no images",
        "Images in": f"{_n(report.images_in)}: {_n(report.images_out)} in the dataset, {_n(report.quarantined)} held"
        f" back, {_n(report.duplicates)} duplicates dropped",
        "Patients": f"{_n(report.patients)} with {_n(report.cases)} cases"
        + (f", for {report.task}" if report.task else ""),
    }
    if report.labels_unmatched:
        rows["Labels unused"] = f"{_n(report.labels_unmatched)} rows name nothing in the input"
    return rows


def _handled(report: ScrubReport) -> dict[str, str]:
    return {
        "Text in pixels": _outcomes(report.pixel_policy, report.pixels),
        "Faces": _outcomes(report.face_policy, report.faces),
        "Names": report.pseudonyms,
        "Way back": "the key file, and an encrypted table of pseudonyms, outside the dataset"
        if report.crosswalk
        else "the key file alone; no table of pseudonyms was written",
        "Dates": report.dates,
    }


def _outcomes(policy: str, counts: Mapping[str, int] | None) -> str:
    if counts is None:
        return NOT_LOOKED_FOR
    told = "; ".join(f"{_n(count)} {what}" for what, count in counts.items() if count) or "nothing found"
    return f"{policy}: {told}" if policy else told


def _linkage(report: ScrubReport) -> str:
    found = report.linkage
    if found is None:
        return "<p>Not computed.</p>"
    if not found.patients:
        return "<p>No patient is in a dataset.</p>"
    if not found.columns:
        return (
            f"<p>No attribute of any patient stands in the dataset beside images and labels. All {_n(found.patients)}"
            " patients form one group.</p>"
        )
    assumed = "For somebody who knows that a patient is in the dataset, and knows all of these attributes (annex 1)."
    return f"{_rows(_linkage_rows(found, report))}<p>{assumed}</p>"


def _linkage_rows(found: Anonymity, report: ScrubReport) -> dict[str, str]:
    left = ", ".join(f"{name.replace('_', ' ')} ({count})" for name, count in found.columns.items())
    rows = {
        "What is left": f"{left}: the values of each",
        "Smallest group": f"k = {_n(found.k)}" + (" patients alike" if found.k > 1 else ""),
        "Alone": f"{_n(found.unique)} of {_n(found.patients)} patients are like nobody else",
        "In small groups": f"{_n(found.below_5)} in groups below 5, {_n(found.below_11)} below 11",
        "Risk": f"{found.highest_risk:.1%} for the easiest to find, {found.average_risk:.1%} on average",
    }
    if found.labels and found.labels > 1:
        rows["Label"] = f"l = {found.l_distinct} in a group; for {_n(found.label_follows)} patients the group tells it"
    if report.generalised or report.patients_suppressed:
        kept_apart = (
            f"{_n(report.patients_suppressed)} patients without attributes" if report.patients_suppressed else ""
        )
        rows["Given up for k"] = ", ".join(filter(None, (*report.generalised, kept_apart))).replace("_", " ")
    elif found.best_step:
        best = found.best_step
        rows["Would help most"] = f"{best.what.replace('_', ' ')}: then k = {_n(best.k)}, {_n(best.unique)} alone"
    return rows


def _reasons(quarantine: Iterable[HeldLine]) -> str:
    counts: Counter[str] = Counter()
    for line in quarantine:
        counts[line.reason] += line.files
    rows = [(_n(count), reason, cure(reason)) for reason, count in counts.most_common(MOST_REASONS)]
    rest = sum(counts.values()) - sum(count for _, count in counts.most_common(MOST_REASONS))
    more = f"<p>{_n(rest)} more files for other reasons: annex 3.</p>" if rest else ""
    return (_table(("files", "why", "how to release them"), rows) or "<p>Nothing was held back.</p>") + more


def _search(report: ScrubReport) -> dict[str, str]:
    found = report.searched
    if found is None:
        return {"Searched": "no"}
    return {
        "For": f"{_n(found.needles)} original names, numbers, dates and UIDs",
        "In": f"{_n(found.files)} files, {_size(found.bytes_written)}"
        + (f", {_size(found.bytes_inflated)} inflated" if found.bytes_inflated else ""),
        "Pictures read": f"{_n(found.pictures_read)} by text recognition" if found.pictures_read else "none",
        "Found": _n(found.hits),
    }


def _rule_set(report: ScrubReport) -> dict[str, str]:
    return {
        "dpmed": report.dpmed_version,
        "Profile": f"{report.profile}, SHA-256 {report.profile_sha256}" if report.profile_sha256 else report.profile,
        "Rules": report.rules,
    }


def _places(quarantine: tuple[HeldLine, ...]) -> str:
    lines = [(line.what, _n(line.files), line.reason, line.short) for line in quarantine[:MOST_LINES]]
    more = len(quarantine) - len(lines)
    rest = f"<p>{_n(more)} more lines stand in scrub-report.json.</p>" if more else ""
    return (_table(("place in the input", "files", "why", "keyed name"), lines) or "<p>None.</p>") + rest


def _class_names(letter: str) -> str:
    if letter == "Q":
        return "embedded data; faces in scans: see the first page"
    return ", ".join(name for name, several in CLASSES.items() if letter in several) or "in text and private data only"


def _rows(rows: Mapping[str, str]) -> str:
    lines = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in rows.items())
    return f"<table>{''.join(lines)}</table>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    return f'<table class="list"><tr>{top}</tr>{body}</table>' if body else ""


def _n(number: int | None) -> str:
    return f"{number:,}" if number is not None else "none"


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
