import gzip

import numpy as np
import pytest

from dpmed.core.errors import IdentifierError
from dpmed.ingest import convert, summary
from dpmed.ingest.nifti import Volume, write_nifti
from dpmed.ingest.needles import Needles
from dpmed.ingest.verify import Searcher


def test_text_is_searched_for_whole_words_of_any_case():
    needles = Needles([b"Quillfeather"])
    assert needles.in_text(b'"name": "QUILLFEATHER"') == 1
    assert needles.in_text(b"quillfeathers") == 0


def test_own_words_identify_nobody():
    assert len(Needles([b"patient", b"Ottoline"], known=b"this patient has")) == 1


def test_short_numbers_and_runs_of_one_letter_are_not_searched():
    assert len(Needles([b"1024", b"00000000", b"abc", b"19420713"])) == 1


@pytest.mark.parametrize("offset", range(9))
def test_voxels_are_searched_at_every_offset(offset):
    needles = Needles([b"HOSP-778812", b"ACC5512398"])
    assert needles.in_voxels(bytes(offset) + b"xxhosp-778812yy" + bytes(7)) == 1
    assert needles.in_voxels(bytes(500)) == 0


def test_strings_are_found_inside_gzip(tmp_path):
    hidden = np.frombuffer(b"HOSP-778812 ".ljust(64), np.uint8).reshape(4, 4, 4, order="F")
    write_nifti(tmp_path / "x.nii.gz", Volume(hidden, np.eye(4)))
    assert b"HOSP" not in (tmp_path / "x.nii.gz").read_bytes()[:64]
    assert b"HOSP" in gzip.decompress((tmp_path / "x.nii.gz").read_bytes())
    assert Searcher(tmp_path, Needles([b"HOSP-778812"]))("x.nii.gz").hits == 1


def test_a_clean_ingest_is_verified(make, tmp_path):
    make.series(tmp_path / "in" / "Quillfeather_19420713")
    got = make.run(tmp_path / "in", tmp_path / "out", task="brats", verify=True)
    assert got.result.verified is True
    assert "none was found" in (tmp_path / "out" / "scrub-report.html").read_text()


def leaky_writer(monkeypatch):
    def leak(path, volume):
        voxels = np.frombuffer(b"Quillfeather^Ottoline".ljust(64), np.uint8)
        write_nifti(path, Volume(voxels.reshape(4, 4, 4, order="F"), np.eye(4)))

    monkeypatch.setattr(convert, "write_nifti", leak)


def leaky_report(monkeypatch):
    honest = summary.report_of
    monkeypatch.setattr(
        "dpmed.ingest.run.report_of", lambda done: honest(done).model_copy(update={"notes": ("by Brambleby",)})
    )


@pytest.mark.parametrize("leak", [leaky_writer, leaky_report])
def test_a_leak_anywhere_ends_in_nothing_written(make, tmp_path, monkeypatch, leak):
    make.series(tmp_path / "in" / "a")
    leak(monkeypatch)
    with pytest.raises(IdentifierError, match="original identifiers") as stop:
        make.run(tmp_path / "in", tmp_path / "out", task="brats", verify=True)
    assert "Quillfeather" not in str(stop.value)
    assert not (tmp_path / "out").exists()
