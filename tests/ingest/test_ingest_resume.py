import json

import pytest

from dpmed.core.errors import ConfigError, InterruptedRun, MismatchError
from dpmed.ingest import run
from dpmed.ingest.convert import Converter
from dpmed.ingest.journal import NAME
from dpmed.ingest.request import IngestRequest
from dpmed.ingest.run import ingest


def cut_off_after(cases, make, source, out, **options):
    """Start an ingest and stop listening after some cases, as a kill would."""
    events = ingest(IngestRequest(source=source, out=out, workers=1, **options))
    for event in events:
        if getattr(event, "what", "") == "writing cases" and event.done == cases:
            events.close()


def test_a_resumed_ingest_equals_an_uninterrupted_one(make, tmp_path, key):
    csv = make.pictures(tmp_path / "in" / "images")
    make.run(tmp_path / "in", tmp_path / "whole", labels=csv, key=key)
    cut_off_after(2, make, tmp_path / "in", tmp_path / "cut", labels=csv, key=key)
    assert not (tmp_path / "cut" / "manifest.json").exists()
    make.run(tmp_path / "in", tmp_path / "cut", labels=csv, key=key, resume=True)
    assert make.snapshot(tmp_path / "cut") == make.snapshot(tmp_path / "whole")


def test_finished_cases_are_not_done_again(make, tmp_path, monkeypatch):
    csv = make.pictures(tmp_path / "in" / "images")
    cut_off_after(4, make, tmp_path / "in", tmp_path / "out", labels=csv)
    seen = []
    convert = Converter.__call__
    monkeypatch.setattr(Converter, "__call__", lambda self, job: seen.append(job) or convert(self, job))
    assert make.run(tmp_path / "in", tmp_path / "out", labels=csv, resume=True).result.cases == 6
    assert len(seen) == 2


def test_a_changed_input_is_done_again(make, tmp_path, monkeypatch):
    csv = make.pictures(tmp_path / "in" / "images", count=2)
    cut_off_after(1, make, tmp_path / "in", tmp_path / "out", labels=csv)
    for path in (tmp_path / "in" / "images").iterdir():
        path.write_bytes(path.read_bytes() + b"\0")
    seen = []
    convert = Converter.__call__
    monkeypatch.setattr(Converter, "__call__", lambda self, job: seen.append(job) or convert(self, job))
    make.run(tmp_path / "in", tmp_path / "out", labels=csv, resume=True)
    assert len(seen) == 2


def test_the_journal_holds_no_original_name_and_is_gone_at_the_end(make, tmp_path):
    make.series(tmp_path / "in" / "Quillfeather", series="1.2.3")
    make.series(tmp_path / "in" / "b", series="1.2.4")
    cut_off_after(1, make, tmp_path / "in", tmp_path / "out", task="brats")
    journal = (tmp_path / "out" / NAME).read_text()
    assert not any(word in journal for word in (*make.invented.values(), "Quillfeather", str(tmp_path)))
    make.run(tmp_path / "in", tmp_path / "out", task="brats", resume=True)
    assert not (tmp_path / "out" / NAME).exists()


def test_leftovers_of_a_kill_are_cleared(make, tmp_path):
    csv = make.pictures(tmp_path / "in" / "images")
    cut_off_after(2, make, tmp_path / "in", tmp_path / "out", labels=csv)
    (tmp_path / "out" / "images" / ".tmp-half.png").write_bytes(b"half")
    make.run(tmp_path / "in", tmp_path / "out", labels=csv, resume=True)
    assert not list((tmp_path / "out").rglob(".tmp-*"))


def test_a_folder_that_is_not_empty_is_refused(make, tmp_path):
    csv = make.pictures(tmp_path / "in" / "images")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(ConfigError, match="not empty"):
            make.run(tmp_path / "in", tmp_path / "out", labels=csv, resume=resume)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_an_interrupted_folder_asks_for_resume(make, tmp_path):
    csv = make.pictures(tmp_path / "in" / "images")
    cut_off_after(1, make, tmp_path / "in", tmp_path / "out", labels=csv)
    with pytest.raises(ConfigError) as refusal:
        make.run(tmp_path / "in", tmp_path / "out", labels=csv)
    assert "--resume" in refusal.value.hint


def test_resume_under_another_key_is_refused(make, tmp_path, key):
    csv = make.pictures(tmp_path / "in" / "images")
    cut_off_after(1, make, tmp_path / "in", tmp_path / "out", labels=csv)
    with pytest.raises(MismatchError, match="another key"):
        make.run(tmp_path / "in", tmp_path / "out", labels=csv, key=key, resume=True)


def test_resume_without_the_key_is_refused(make, tmp_path):
    csv = make.pictures(tmp_path / "in" / "images")
    cut_off_after(1, make, tmp_path / "in", tmp_path / "out", labels=csv)
    (tmp_path / "out.key").unlink()
    with pytest.raises(ConfigError, match="missing"):
        make.run(tmp_path / "in", tmp_path / "out", labels=csv, resume=True)


def test_a_full_disk_keeps_what_is_finished(make, tmp_path, monkeypatch):
    csv = make.pictures(tmp_path / "in" / "images")

    def full(*_):
        raise OSError(28, "No space left on device", "/Quillfeather/Ottoline")

    monkeypatch.setattr(run, "write_atomic", full)
    with pytest.raises(InterruptedRun, match="disk is full") as stop:
        make.run(tmp_path / "in", tmp_path / "out", labels=csv)
    assert "Quillfeather" not in str(stop.value)
    monkeypatch.undo()
    assert make.run(tmp_path / "in", tmp_path / "out", labels=csv, resume=True).result.cases == 6


def test_workers_do_not_change_a_byte(make, tmp_path, key):
    for number in range(5):
        make.series(tmp_path / "in" / f"s{number}", patient=f"P{number}", series=f"1.2.{number}")
    (tmp_path / "in" / "bad.dcm").write_text("no")
    make.run(tmp_path / "in", tmp_path / "one", task="brats", key=key, workers=1)
    make.run(tmp_path / "in", tmp_path / "two", task="brats", key=key, workers=2)
    assert make.snapshot(tmp_path / "one") == make.snapshot(tmp_path / "two")


def test_a_dry_run_writes_nothing(make, tmp_path):
    csv = make.pictures(tmp_path / "in" / "images")
    before = make.snapshot(tmp_path)
    result = make.run(tmp_path / "in", tmp_path / "out", labels=csv, dry_run=True).result
    assert (result.cases, result.patients, result.images_in) == (6, 3, 6)
    assert make.snapshot(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_the_same_key_gives_the_same_names_in_every_run(make, tmp_path, key):
    csv = make.pictures(tmp_path / "in" / "images")
    manifests = [make.run(tmp_path / "in", tmp_path / out, labels=csv, key=key).manifest for out in ("first", "second")]
    assert manifests[0] == manifests[1]
    other = make.run(tmp_path / "in", tmp_path / "third", labels=csv).manifest
    assert not {case.patient for case in other.cases} & {case.patient for case in manifests[0].cases}


def test_source_and_out_may_not_lie_in_one_another(make, tmp_path):
    csv = make.pictures(tmp_path / "in" / "images")
    for out in (tmp_path / "in", tmp_path / "in" / "out", tmp_path):
        with pytest.raises(ConfigError, match="one another"):
            make.run(tmp_path / "in", out, labels=csv)


def test_the_manifest_reads_as_a_decathlon_datalist(make, tmp_path):
    csv = make.pictures(tmp_path / "in" / "images")
    make.run(tmp_path / "in", tmp_path / "out", labels=csv)
    listed = json.loads((tmp_path / "out" / "manifest.json").read_text())
    items = [item for split in ("training", "validation", "test") for item in listed[split]]
    assert len(items) == 6
    assert all((tmp_path / "out" / item["image"]).is_file() for item in items)
