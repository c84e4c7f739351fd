"""The scrub report as one page to print and sign. Everything on it stands in the JSON too; nothing is loaded."""

import html
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib import resources
from string import Template
from typing import get_args

from dpmed.ingest.cures import CURES, LOOK, cure
from dpmed.ingest.hipaa import CLASSES, EIGHTEEN, letters
from dpmed.ingest.identifiers import PRIVATE, UNKNOWN, table
from dpmed.ingest.linkage import Anonymity, Step
from dpmed.ingest.reasons import Reason
from dpmed.ingest.report import (
    KEPT_ATTRIBUTES,
    KEPT_FROM_DICOM,
    KEPT_FROM_NIFTI,
    KEPT_FROM_PICTURES,
    HeldLine,
    ScrubReport,
    dates,
    limits,
    rules,
)
from dpmed.ingest.rules.profile import Attribute, load_profile, shipped_profiles
from dpmed.ingest.verify import Searched

MOST_LINES = 40
"""Places of files on the page; the JSON names all of them."""
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
        manifest=html.escape(report.manifest_sha256),
        rules=_rows(_rule_set(report)),
        kept=_rows(report.kept),
        places=_places(report.quarantine),
        eighteen=_rows({f"{letter}. {name}": _class_names(letter) for letter, name in EIGHTEEN.items()}),
    )


def own_words() -> bytes:
    """All text that reports and manifests hold of themselves: words in it, found again, identify nobody."""
    step = Step(what="dropped in 20 years", k=1, unique=1)
    linkage = Anonymity(
        patients=3, k=1, groups=2, unique=1, below_5=1, below_11=1, labels=2, l_distinct=1, label_follows=1,
        columns=dict.fromkeys(get_args(Attribute), 2), steps=(step,),
    )  # fmt: skip
    specimen = ScrubReport(
        rules=rules(),
        kept=KEPT_FROM_DICOM | KEPT_FROM_NIFTI | KEPT_FROM_PICTURES | KEPT_ATTRIBUTES,
        identifiers_removed=dict.fromkeys({*table().values(), *CLASSES, PRIVATE, UNKNOWN}, 1),
        linkage=linkage,
        generalised=("everything dropped: too few patients",),
        searched=Searched(files=1, pictures_read=1),
        verified=True,
        quarantine=(HeldLine(what="case series entries of the DICOMDIR", short="", files=1, reason=""),),
        limits=(*limits(pixels=None, faces=None), *limits(pixels={}, faces={})),
    )
    texts = [each.value for each in Reason] + [*CURES.values(), LOOK]
    texts += [dates(load_profile(name), as_dicom=form) for name in shipped_profiles() for form in (True, False)]
    bare = specimen.model_copy(update={"linkage": None, "verified": None, "identifiers_removed": {}, "quarantine": ()})
    return " ".join((specimen.to_json(), as_html(specimen), as_html(bare), *texts)).encode()


def _verdict(report: ScrubReport) -> str:
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
        "Input": f"{report.kind}, {_n(report.files)} files, {_n(report.ignored)} of them no images",
        "Images in": _n(report.images_in),
        "Images in the dataset": _n(report.images_out),
        "Held back": _n(report.quarantined),
        "Duplicates dropped": _n(report.duplicates),
        "Patients, cases": f"{_n(report.patients)}, {_n(report.cases)}",
    }
    if report.task:
        rows["Task"] = report.task
    if report.labels_unmatched:
        rows["Labels without an image"] = _n(report.labels_unmatched)
    return rows


def _handled(report: ScrubReport) -> dict[str, str]:
    return {
        "Text in pixels": _outcomes(report.pixel_policy, report.pixels),
        "Faces": _outcomes(report.face_policy, report.faces),
        "Names of patients and files": report.pseudonyms,
        "Dates": report.dates,
        "Way back": "an encrypted table of pseudonyms was written, outside the dataset"
        if report.crosswalk
        else "no table of pseudonyms was written; the key file alone leads back",
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
    if not found.columns:
        return (
            f"<p>No attribute of any patient stands in the dataset beside images and labels. All {_n(found.patients)}"
            " patients form one group.</p>"
        )
    return _rows(_linkage_rows(found, report))


def _linkage_rows(found: Anonymity, report: ScrubReport) -> dict[str, str]:
    left = ", ".join(f"{name.replace('_', ' ')} ({count})" for name, count in found.columns.items())
    rows = {
        "Left beside the images": f"{left} (values each)",
        "Smallest group of patients alike (k)": _n(found.k),
        "Patients like nobody else": f"{_n(found.unique)} of {_n(found.patients)}",
        "In groups below 5, below 11": f"{_n(found.below_5)}, {_n(found.below_11)}",
        "Risk of the easiest to find, mean risk": f"{found.highest_risk:.1%}, {found.average_risk:.1%}",
    }
    if found.labels and found.labels > 1:
        rows["Labels in a group, at least (l)"] = f"{found.l_distinct}; it tells the label of {_n(found.label_follows)}"
    if report.generalised or report.patients_suppressed:
        kept_apart = (
            f"{_n(report.patients_suppressed)} patients without attributes" if report.patients_suppressed else ""
        )
        rows["Given up for k"] = ", ".join(filter(None, (*report.generalised, kept_apart))).replace("_", " ")
    elif found.best_step:
        best = found.best_step
        rows["What would help most"] = f"{best.what.replace('_', ' ')}: k {_n(best.k)}, alone {_n(best.unique)}"
    return rows


def _reasons(quarantine: Iterable[HeldLine]) -> str:
    counts: Counter[str] = Counter()
    for line in quarantine:
        counts[line.reason] += line.files
    rows = [(_n(count), reason, cure(reason)) for reason, count in counts.most_common()]
    return _table(("files", "why", "how to release them"), rows) or "<p>Nothing was held back.</p>"


def _search(report: ScrubReport) -> dict[str, str]:
    found = report.searched
    if found is None:
        return {"Searched": "no"}
    return {
        "Looked for": f"{_n(found.needles)} original names, numbers, dates and UIDs",
        "Looked in": f"{_n(found.files)} files, {_size(found.bytes_written)}"
        + (f", {_size(found.bytes_inflated)} inflated" if found.bytes_inflated else ""),
        "Pictures read by text recognition": _n(found.pictures_read) if found.pictures_read else "none",
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
