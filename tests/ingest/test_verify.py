import gzip
import json

import numpy as np
import pydicom
import pytest

from dpmed.core.errors import IdentifierError
from dpmed.ingest import convert, summary
from dpmed.ingest.needles import Needles
from dpmed.ingest.nifti import Volume, write_nifti
from dpmed.ingest.pictures import write_picture
from dpmed.ingest.verify import Searched, Searcher, evenly, pictures_of

HIDDEN = np.frombuffer(b"HOSP-778812 ".ljust(64), np.uint8).reshape(4, 4, 4, order="F")


def page(folder):
    return (folder / "scrub-report.html").read_text()


def searched(folder):
    return json.loads((folder / "scrub-report.json").read_text())["searched"]


def test_strings_are_found_inside_gzip(tmp_path):
    write_nifti(tmp_path / "x.nii.gz", Volume(HIDDEN, np.eye(4)))
    assert b"HOSP" not in (tmp_path / "x.nii.gz").read_bytes()[:64]
    assert b"HOSP" in gzip.decompress((tmp_path / "x.nii.gz").read_bytes())
    found = Searcher(tmp_path, Needles([b"HOSP-778812"]))("x.nii.gz")
    assert (found.hits, found.files, found.bytes_inflated) == (1, 1, 352 + 64)
    assert found.bytes_written == (tmp_path / "x.nii.gz").stat().st_size


def test_strings_are_found_inside_the_pixels_of_a_png(tmp_path):
    write_picture(tmp_path / "x.png", HIDDEN.ravel(order="F").reshape(8, 8))
    assert b"HOSP" not in (tmp_path / "x.png").read_bytes()
    assert Searcher(tmp_path, Needles([b"HOSP-778812"]))("x.png").hits == 1


# A name can hide in a header as a word of four letters, in a sequence, behind the pixels and inside them.
@pytest.mark.parametrize("where", ["header", "sequence", "meta", "pixels", "tail", "preamble", "name", None])
def test_strings_are_found_anywhere_in_an_object(make, tmp_path, where):
    header = make.dataset(np.zeros((8, 8), np.uint16), **dict.fromkeys(make.invented))
    word = b"Ottoline" if where in {"pixels", "tail", "preamble"} else b"Otto"
    if where == "header":
        header.ImageComments = "seen by Otto today"
    if where == "sequence":
        header.RequestAttributesSequence = [pydicom.Dataset()]
        header.RequestAttributesSequence[0].RequestedProcedureDescription = "OTTO"
    if where == "meta":
        header.file_meta.SourceApplicationEntityTitle = "Otto"
    if where == "pixels":
        header.PixelData = b"ottoline".center(128, b"\0")
    if where == "preamble":
        header.preamble = b"Ottoline".ljust(128, b"\0")
    path = tmp_path / "images" / ("otto" if where == "name" else "p-0") / "x.dcm"
    path.parent.mkdir(parents=True)
    header.save_as(path, enforce_file_format=True)
    if where == "tail":
        path.write_bytes(path.read_bytes() + b"Ottoline")
    found = Searcher(tmp_path, Needles([word]))(str(path.relative_to(tmp_path)))
    assert found.hits == (where is not None)


def test_what_cannot_be_parsed_is_searched_as_text(tmp_path):
    (tmp_path / "images" / "p-0").mkdir(parents=True)
    (tmp_path / "images" / "p-0" / "x.dcm").write_bytes(b"no DICOM, but by Otto")
    assert Searcher(tmp_path, Needles([b"Otto"]))("images/p-0/x.dcm").hits == 1


def test_figures_add_up():
    one, other = Searched(files=1, bytes_written=5, needles=7, hits=1), Searched(files=2, bytes_inflated=3, needles=7)
    assert one + other == Searched(files=3, bytes_written=5, bytes_inflated=3, needles=7, hits=1)


def test_a_sample_is_spread_over_all_files():
    assert evenly(["d", "a", "c", "b", "e"], 3) == {"a", "c", "e"}
    assert evenly(["a"], 3) == {"a"}
    assert evenly([], 3) == frozenset()


def test_pictures_of_a_sample_are_read(tmp_path):
    voxels = np.zeros((6, 5, 4), np.int16)
    voxels[2, 3, 1] = 100
    write_nifti(tmp_path / "x.nii.gz", Volume(voxels, np.eye(4)))
    write_picture(tmp_path / "y.png", np.eye(7, dtype=np.uint8) * 200)
    projection, middle = pictures_of(tmp_path / "x.nii.gz")
    assert projection.shape == middle.shape == (5, 6)
    assert projection.dtype == np.uint8
    assert np.argwhere(projection).tolist() == [[3, 2]]
    assert not middle.any()
    searcher = Searcher(
        tmp_path, Needles([]), reader=lambda picture: int(picture.any()), sample=frozenset({"x.nii.gz"})
    )
    assert (searcher("x.nii.gz").hits, searcher("x.nii.gz").pictures_read) == (1, 2)
    assert (searcher("y.png").hits, searcher("y.png").pictures_read) == (0, 0)


def test_pixels_that_no_codec_decodes_are_not_read(tmp_path):
    (tmp_path / "x.dcm").write_bytes(b"nothing")
    assert pictures_of(tmp_path / "x.dcm") == ()


def test_a_clean_ingest_is_verified(make, tmp_path):
    make.series(tmp_path / "in" / "Quillfeather_19420713")
    got = make.run(tmp_path / "in", tmp_path / "out", task="brats", verify=True)
    assert got.result.verified is True
    assert "none was found" in page(tmp_path / "out")
    assert searched(tmp_path / "out")["needles"] > 5
    assert searched(tmp_path / "out")["hits"] == 0


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
        make.run(tmp_path / "in", tmp_path / "out", task="brats", verify=True, pixels="ignore")
    assert "Quillfeather" not in str(stop.value)
    assert not (tmp_path / "out").exists()
