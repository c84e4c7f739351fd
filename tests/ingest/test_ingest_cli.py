import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from dpmed.cli.ingest import _recipe
from dpmed.cli.main import main
from dpmed.core.manifest import Manifest

KEYS = {
    "schema", "status", "dpmed_version", "patients", "cases", "images_in", "images_out", "quarantined",
    "identifiers_removed", "seconds", "manifest",
}  # fmt: skip


def test_json_is_the_contract(make, tmp_path, capsys):
    csv = make.pictures(tmp_path / "in" / "images")
    code = main(["ingest", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--labels", str(csv), "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert code == 0
    assert answer.keys() >= KEYS
    assert (answer["schema"], answer["status"]) == ("dpmed.ingest/1", "ok")
    assert answer["manifest"] == str(tmp_path / "out" / "manifest.json")
    assert answer["cases"] == len(Manifest.load(tmp_path / "out").cases) == 6


def test_partial_input_exits_4_with_every_key(make, tmp_path, capsys):
    make.series(tmp_path / "in" / "a")
    (tmp_path / "in" / "x.dcm").write_text("no")
    code = main(["ingest", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--task", "brats", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert (code, answer["status"], answer["quarantined"]) == (4, "partial", 1)
    assert answer.keys() >= KEYS


def test_the_table_ends_with_the_next_command(make, tmp_path, capsys):
    csv = make.pictures(tmp_path / "in" / "images")
    main(["ingest", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--labels", str(csv)])
    spoken = capsys.readouterr()
    assert "patients" in spoken.out
    assert f"dpmed train covid-ct-tiny --data {tmp_path / 'out'}" in spoken.err


@pytest.mark.parametrize(("patients", "recipe"), [(63, "covid-ct-tiny"), (64, "covid-ct")])
def test_the_next_command_is_a_recipe_whose_batch_fits_the_patients(patients, recipe):
    assert _recipe(SimpleNamespace(task="covid-ct", splits={"train": patients})) == recipe


def test_labels_that_name_nothing_in_the_source_are_told(make, tmp_path, capsys):
    make.series(tmp_path / "in" / "a")
    (tmp_path / "labels.csv").write_text("patient,label\nNOBODY-1,1\nNOBODY-2,0\n")
    arguments = ["ingest", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--task", "covid-ct"]
    assert main([*arguments, "--labels", str(tmp_path / "labels.csv")]) == 3
    said = capsys.readouterr().err
    assert "name nothing in the source: 2" in said
    assert "NOBODY" not in said


@pytest.mark.parametrize(
    ("options", "code", "cause"),
    [
        (["--format", "dicom"], 2, "--format dicom needs DICOM"),
        (["--format", "dicom", "--k-anonymity", "5"], 2, "coarsens the manifest"),
        (["--profile", "basics"], 2, "did you mean 'basic'"),
        (["--task", "chest"], 2, "chest"),
        (["--label-scheme", "nonsense"], 2, "neither a known name nor a file"),
        (["--workers", "0"], 2, "--workers"),
        (["--lifetime-epsilon", "8"], 2, "an epsilon and a delta"),
        (["--lifetime-epsilon", "-1", "--lifetime-delta", "1e-5"], 2, "above 0"),
        (["--labels", "/nonexistent.csv"], 3, "label file does not exist"),
        (["--key", "OUT/x.key"], 2, "inside the dataset"),
    ],
)
def test_wrong_options_end_in_a_cause_and_a_hint(make, tmp_path, capsys, options, code, cause):
    make.pictures(tmp_path / "in" / "images")
    out = tmp_path / "out"
    options = [option.replace("OUT", str(out)) for option in options]
    assert main(["ingest", str(tmp_path / "in"), "--out", str(out), *options]) == code
    spoken = capsys.readouterr().err
    assert cause in spoken
    assert "hint: " in spoken
    assert not out.exists()


def test_a_missing_source_exits_3(tmp_path, capsys):
    assert main(["ingest", str(tmp_path / "none"), "--out", str(tmp_path / "out"), "--json"]) == 3
    answer = json.loads(capsys.readouterr().out)
    assert (answer["status"], answer["exit_code"]) == ("error", 3)


def test_ctrl_c_exits_130_and_can_be_resumed(make, tmp_path, capsys, monkeypatch):
    csv = make.pictures(tmp_path / "in" / "images")
    arguments = ["ingest", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--labels", str(csv)]
    from dpmed.ingest import journal

    add = journal.Journal.add

    def interrupted(self, fingerprint, outcome):
        add(self, fingerprint, outcome)
        raise KeyboardInterrupt

    monkeypatch.setattr(journal.Journal, "add", interrupted)
    assert main(arguments) == 130
    assert "--resume" in capsys.readouterr().err
    monkeypatch.undo()
    assert main([*arguments, "--resume"]) == 0


def test_a_lifetime_budget_is_set_on_the_dataset(make, tmp_path):
    pytest.importorskip("dpmed.privacy.budget")
    csv = make.pictures(tmp_path / "in" / "images")
    arguments = ["ingest", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--labels", str(csv)]
    assert main([*arguments, "--lifetime-epsilon", "8", "--lifetime-delta", "1e-5"]) == 0
    assert (tmp_path / "out" / "budget.jsonl").is_file()


def test_the_report_says_what_was_kept_and_what_it_does_not_do(make, tmp_path):
    make.series(tmp_path / "in" / "a")
    main(["ingest", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--task", "brats", "-q"])
    page = (tmp_path / "out" / "scrub-report.html").read_text()
    report = json.loads((tmp_path / "out" / "scrub-report.json").read_text())
    assert "ImagePositionPatient" in page
    assert "burned into pixels" in page
    assert "http" not in page.replace('charset="utf-8"', "")
    assert report["identifiers_removed"]["names"] == 6
    assert "2026c" in report["rules"]


def test_ingest_is_free_of_heavy_learning_libraries():
    code = "import sys, dpmed.ingest; print([m for m in ('torch', 'monai', 'opacus') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
