"""No original identifier in any byte of the output, in names, messages or logs."""

import gzip
import json
import logging

import pytest

from dpmed.cli.main import main
from dpmed.samples import PLANTED, write_brats, write_covid_ct


def all_bytes(folder):
    """Names and contents of every file, also as they are inside gzip."""
    for path in sorted(folder.rglob("*")):
        yield str(path.relative_to(folder)).encode()
        if path.is_file():
            content = path.read_bytes()
            yield gzip.decompress(content) if path.suffix == ".gz" else content


@pytest.fixture
def planted(tmp_path):
    write_covid_ct(tmp_path / "ct", patients=6)
    write_brats(tmp_path / "mr", patients=3)
    return tmp_path


def test_planted_identifiers_are_in_the_samples_to_begin_with(planted, leaks):
    assert len(leaks(PLANTED, b"\0".join(all_bytes(planted / "ct")))) > 20


def test_no_planted_identifier_survives(planted, leaks, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    labels = str(planted / "ct" / "labels.csv")
    # Patients past the six generated here have no file: their rows are counted, and the exit code says partial.
    for arguments, code in (
        (["ingest", str(planted / "ct"), "--out", str(planted / "out" / "ct"), "--labels", labels, "--verify"], 0),
        (["ingest", str(planted / "mr"), "--out", str(planted / "out" / "mr"), "--label-scheme", "brats", "-v"], 0),
    ):
        assert main(arguments) == code
    spoken = capfd.readouterr()
    said = (spoken.out + spoken.err + caplog.text).replace(str(planted), "")
    assert leaks(PLANTED, b"\0".join(all_bytes(planted / "out"))) == []
    assert leaks(PLANTED, said.encode()) == []


def test_damage_does_not_make_it_speak(planted, leaks, capfd, caplog):
    """Cut, text, torn headers and a stranger in a series: reasons and counts, never values."""
    caplog.set_level(logging.DEBUG)
    files = sorted(path for path in (planted / "ct").rglob("*") if path.is_file() and path.suffix != ".csv")
    files[0].write_bytes(files[0].read_bytes()[:-2000])
    files[1].write_bytes(b"\0" * 128 + b"DICM" + files[1].read_bytes()[401:])
    files[2].rename(files[2].with_suffix(".dcm"))
    files[2].with_suffix(".dcm").write_text(PLANTED[0])
    (planted / "labels.csv").write_text(f"patient,label\n{PLANTED[0]},1\n{PLANTED[1]},0\nNOBODY,1\n")
    out = planted / "out"
    for labels in (planted / "labels.csv", planted / "ct" / "labels.csv"):
        code = main(["ingest", str(planted / "ct"), "--out", str(out), "--labels", str(labels), "--json"])
        assert code in {2, 3, 4}
        answer = json.loads(capfd.readouterr().out)
        assert leaks(PLANTED, json.dumps(answer, ensure_ascii=False).replace(str(planted), "").encode()) == []
    assert code == 4
    assert answer["status"] == "partial"
    assert answer["quarantined"] >= 3
    assert leaks(PLANTED, b"\0".join(all_bytes(out))) == []
    assert leaks(PLANTED, caplog.text.encode()) == []


def test_the_report_names_places_not_files(planted):
    (planted / "ct" / "Quillfeather_Ottoline.dcm").write_text("hello")
    out = planted / "out"
    main(["ingest", str(planted / "ct"), "--out", str(out), "--labels", str(planted / "ct" / "labels.csv"), "-q"])
    report = json.loads((out / "scrub-report.json").read_text())
    (line,) = report["quarantine"]
    ordinal = sorted(
        str(path.relative_to(planted / "ct")) for path in (planted / "ct").rglob("*") if path.is_file()
    ).index("Quillfeather_Ottoline.dcm")
    assert line["what"] == f"file {ordinal + 1} of {report['files']}"
    assert line["short"].startswith("f-")
    assert "Quillfeather" not in (out / "scrub-report.html").read_text()
