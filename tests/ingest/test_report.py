import html
import json
import re

import pytest

from dpmed.ingest import report
from dpmed.ingest.cures import CURES, LOOK, cure
from dpmed.ingest.hipaa import CLASSES, EIGHTEEN, letters
from dpmed.ingest.identifiers import table
from dpmed.ingest.linkage import anonymity
from dpmed.ingest.needles import Needles
from dpmed.ingest.own import own_words
from dpmed.ingest.page import MOST_LINES, as_html
from dpmed.ingest.reasons import Reason
from dpmed.ingest.report import HeldLine, ScrubReport, dates_in_objects, limits
from dpmed.ingest.rules.profile import load_profile
from dpmed.ingest.verify import Searched

ROWS = [{"patient": n, "sex": "FM"[n % 2], "label": n % 3 % 2} for n in range(7)]


def words(page):
    """The text of a page, without its style and tags."""
    text = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(text).split())


def held(reason, files=1):
    return HeldLine(what="file 3 of 9", short="f-0123456789ab", files=files, reason=reason.value)


def test_every_reason_has_a_next_step():
    assert set(CURES) == set(Reason)
    assert cure(Reason.NO_LABEL.value) == CURES[Reason.NO_LABEL]
    assert cure("a reason of another version") == LOOK


def test_all_eighteen_identifiers_are_named():
    page = words(as_html(ScrubReport()))
    assert "".join(EIGHTEEN) == "ABCDEFGHIJKLMNOPQR"
    assert all(f"{letter}. {name}" in page for letter, name in EIGHTEEN.items())
    assert all(set(several) <= set(EIGHTEEN) for several in CLASSES.values())
    assert (letters("contacts"), letters("free text")) == ("D, E, F, N", "any")
    assert set(CLASSES) - {"file names"} <= set(table().values())


def test_the_page_is_whole_in_itself():
    page = as_html(ScrubReport(linkage=anonymity(ROWS), quarantine=(held(Reason.NO_LABEL),)))
    assert not re.search(r"https?:|src=|<script|<link|@import|url\(|<img", page)
    assert page.count("<table") == page.count("</table>")
    assert "$" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


def test_there_is_a_place_to_decide_and_sign_for_one_manifest():
    page = words(as_html(ScrubReport(manifest_sha256="ab" * 32)))
    for part in ("Decision", "may be used", "may not be used", "Name", "Role", "Date", "Signature", "ab" * 32):
        assert part in page


def test_what_is_held_back_comes_with_its_reason_and_its_release():
    lines = tuple(held(reason, files=2) for reason in (Reason.NO_LABEL, Reason.LOCALISER))
    page = words(as_html(ScrubReport(quarantine=lines)))
    assert f"2 {Reason.NO_LABEL.value} {CURES[Reason.NO_LABEL]}" in page
    assert "file 3 of 9" in page
    assert "Nothing was held back" in words(as_html(ScrubReport()))


def test_a_long_quarantine_does_not_flood_the_page():
    many = as_html(ScrubReport(quarantine=(held(Reason.UNREADABLE),) * 5000))
    assert many.count("f-0123456789ab") == MOST_LINES
    assert f"{5000 - MOST_LINES:,} more lines stand in scrub-report.json" in many
    every = as_html(ScrubReport(quarantine=tuple(held(reason) for reason in Reason)))
    assert f"{len(Reason) - 6} more files for other reasons" in every


def test_linkage_is_told_in_the_numbers_of_this_dataset():
    # 7 patients, 4 F (labels 0 0 0 0 at 0, 2, 4, 6: 0 0 1 0) and 3 M: k = 3, average risk 2 groups of 7.
    page = words(as_html(ScrubReport(linkage=anonymity(ROWS))))
    assert "k = 3 patients alike" in page
    assert "0 of 7 patients are like nobody else" in page
    assert f"{1 / 3:.1%} for the easiest to find, {2 / 7:.1%} on average" in page
    assert "87 % of" in page.replace("\xa0", " ")
    assert "35 of 81" in page
    bare = words(as_html(ScrubReport(linkage=anonymity([{"patient": 1}, {"patient": 2}]))))
    assert "All 2 patients form one group" in bare


def test_figures_of_the_search_are_shown():
    found = Searched(files=12, bytes_written=3_400_000, bytes_inflated=2_000_000_000, needles=1234, pictures_read=24)
    page = words(as_html(ScrubReport(images_out=1, verified=True, searched=found)))
    for part in (
        "1,234 original names",
        "12 files, 3.4 MB, 2.0 GB inflated",
        "24 by text recognition",
        "none was found",
    ):
        assert part in page
    assert "was not searched again" in words(as_html(ScrubReport(images_out=1)))


def test_words_of_our_own_are_no_leak_in_a_full_report():
    """Whatever an ingest can put on the page besides numbers and hex names is known beforehand."""
    full = ScrubReport(
        rules=report.rules(),
        kept=report.KEPT_FROM_DICOM | report.KEPT_ATTRIBUTES,
        dates=dates_in_objects(load_profile("training")),
        identifiers_removed=dict.fromkeys(table().values(), 3),
        linkage=anonymity(ROWS),
        limits=limits(pixel_policy="gate", pixels=None, faces=None),
        quarantine=tuple(held(reason) for reason in Reason),
    )
    seen = {word.encode() for word in re.findall(r"[^\W\d_]{4,}", as_html(full) + full.to_json())}
    assert len(seen) > 300
    assert len(Needles(seen, known=own_words() + b"training")) == 0


@pytest.mark.parametrize(
    ("policy", "pixels", "said", "unsaid"),
    [
        ("", None, "was not looked for in some", "looked for by software"),
        ("gate", {"looked at, no text": 3}, "was looked for by software", "not looked for in some"),
        ("gate", {"looked at, no text": 3, "not looked at: its kind": 2}, "not looked for in some", "as asked"),
        ("ignore", {"not looked at, as asked": 3}, "not looked for, as asked", "are held back"),
    ],
)
def test_it_never_claims_to_have_looked_where_it_did_not(policy, pixels, said, unsaid):
    text = " ".join(limits(pixel_policy=policy, pixels=pixels, faces=None))
    assert said in text
    assert unsaid not in text
    assert "Faces were not looked for" in text
    assert "Faces were looked for" in " ".join(limits(pixel_policy=policy, pixels=pixels, faces={"a head": 1}))


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("basic", "removed, or replaced"),
        ("training", "times are removed"),
        ("research-longitudinal", "times are moved"),
    ],
)
def test_dates_are_told_as_the_profile_treats_them(profile, said):
    assert said in dates_in_objects(load_profile(profile))


def test_the_report_covers_the_manifest_beside_it(make, tmp_path):
    make.series(tmp_path / "in" / "a")
    make.run(tmp_path / "in", tmp_path / "out", task="brats", pixels="ignore")
    got = json.loads((tmp_path / "out" / "scrub-report.json").read_text())
    assert got["manifest_sha256"] == report.sha256((tmp_path / "out" / "manifest.json").read_text())
    assert got["profile_sha256"] == report.sha256(load_profile("training").to_json())
    assert "2026c" in got["rules"]
    assert "2024b" in got["rules"]
    assert not any(name in got["kept"] for name in ("sex", "site"))  # the header names no sex, the profile no site


def test_a_profile_file_is_named_by_its_name_not_its_path(make, tmp_path):
    make.series(tmp_path / "in" / "a")
    (tmp_path / "Quill.toml").write_text('based_on = "basic"\nname = "our-study"\n')
    make.run(tmp_path / "in", tmp_path / "out", task="brats", pixels="ignore", profile=str(tmp_path / "Quill.toml"))
    texts = [
        (tmp_path / "out" / name).read_text() for name in ("scrub-report.json", "scrub-report.html", "manifest.json")
    ]
    assert all("our-study" in text and "Quill" not in text for text in texts)
