import random
import zipfile

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, JPEGLSLossless

from dpmed.core.errors import ConfigError, DpmedError, NoInputError
from dpmed.ingest.request import IngestRequest
from dpmed.ingest.run import ingest


def test_links_are_not_followed(make, tmp_path):
    make.series(tmp_path / "elsewhere" / "secret", series="1.2.9")
    make.series(tmp_path / "in" / "a", series="1.2.3")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "file").symlink_to(next((tmp_path / "elsewhere" / "secret").iterdir()))
    got = make.run(tmp_path / "in", tmp_path / "out", task="brats")
    assert got.result.cases == 1
    assert any("2 symbolic links" in getattr(event, "text", "") for event in got.events)


def test_a_zip_is_read_and_leaves_nothing_behind(make, tmp_path, key):
    make.series(tmp_path / "tree" / "a", series="1.2.3")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for path in (tmp_path / "tree" / "a").iterdir():
            archive.write(path, f"a/{path.name}")
    make.run(tmp_path / "in.zip", tmp_path / "z" / "out", task="brats", key=key)
    make.run(tmp_path / "tree", tmp_path / "t" / "out", task="brats", key=key)
    zipped, tree = make.snapshot(tmp_path / "z"), make.snapshot(tmp_path / "t")
    assert {name: content for name, content in zipped.items() if "images/" in name} == {
        name: content for name, content in tree.items() if "images/" in name
    }
    assert [path.name for path in (tmp_path / "z").iterdir()] == ["out"]


def test_zip_members_cannot_leave_the_scratch_folder(make, tmp_path):
    make.slice(tmp_path / "one.dcm")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.write(tmp_path / "one.dcm", "../../../escaped.dcm")
        archive.write(tmp_path / "one.dcm", "/tmp/absolute-escape.dcm")
    before = {str(path) for path in tmp_path.rglob("*")}
    (tmp_path / "room").mkdir()
    make.run(tmp_path / "in.zip", tmp_path / "room" / "out", task="brats")
    after = {str(path) for path in tmp_path.rglob("*") if "room" not in path.parts}
    assert after == before


def test_a_damaged_zip_is_no_input(make, tmp_path):
    (tmp_path / "in.zip").write_bytes(b"PK\x05\x06" + bytes(18) + b"junk")
    make.slice(tmp_path / "x")
    with zipfile.ZipFile(tmp_path / "cut.zip", "w") as archive:
        archive.write(tmp_path / "x", "x")
    content = bytearray((tmp_path / "cut.zip").read_bytes())
    content[40:200] = bytes(160)
    (tmp_path / "cut.zip").write_bytes(content)
    for name in ("in.zip", "cut.zip"):
        with pytest.raises(NoInputError):
            make.run(tmp_path / name, tmp_path / "out", task="brats")


@pytest.fixture
def disc(make, tmp_path):
    """Three slices with a DICOMDIR that lists them, and a copy of one that it does not list."""
    make.series(tmp_path / "loose", series="1.2.3")
    listed = FileSet()
    for path in sorted((tmp_path / "loose").iterdir()):
        header = pydicom.dcmread(path)
        header.StudyTime, header.StudyID, header.SeriesNumber, header.InstanceNumber = "1200", "1", 1, 1
        listed.add(header)
    listed.write(tmp_path / "disc")
    listed._stage["t"].cleanup()  # pydicom leaves its staging folder to the garbage collector, with a warning
    (tmp_path / "disc" / "unlisted").write_bytes(next((tmp_path / "loose").iterdir()).read_bytes())
    return tmp_path / "disc"


def test_a_dicomdir_names_its_files(make, tmp_path, disc):
    result = make.run(disc / "DICOMDIR", tmp_path / "out", task="brats").result
    assert (result.images_in, result.cases) == (3, 1)


def test_what_a_dicomdir_lists_in_vain_is_counted(make, tmp_path, disc):
    listed = [path for path in disc.rglob("*") if path.is_file() and path.name not in {"DICOMDIR", "unlisted"}]
    max(listed).unlink()
    result = make.run(disc / "DICOMDIR", tmp_path / "out", task="brats").result
    assert (result.images_in, result.quarantined) == (3, 1)
    assert result.quarantined_by_reason == {"listed in the DICOMDIR but not there": 1}
    assert "entries of the DICOMDIR" in (tmp_path / "out" / "scrub-report.html").read_text()


def test_a_dicomdir_inside_a_folder_is_not_a_picture(make, tmp_path, disc):
    as_folder = make.run(disc, tmp_path / "out", task="brats").result
    assert (as_folder.images_in, as_folder.quarantined, as_folder.duplicates) == (4, 0, 1)


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")  # of pydicom, when the index is made
def test_a_dicomdir_cannot_point_outside_its_folder(make, tmp_path):
    make.slice(tmp_path / "secret")
    index, record = pydicom.Dataset(), pydicom.Dataset()
    record.ReferencedFileID = ["..", "secret"]
    index.DirectoryRecordSequence = Sequence([record])
    index.file_meta = FileMetaDataset()
    index.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    index.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    index.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    (tmp_path / "disc").mkdir()
    index.save_as(tmp_path / "disc" / "DICOMDIR", enforce_file_format=True)
    with pytest.raises(NoInputError):
        make.run(tmp_path / "disc" / "DICOMDIR", tmp_path / "out", task="brats")


def nested(depth):
    item = pydicom.Dataset()
    for _ in range(depth):
        outer = pydicom.Dataset()
        outer.ContentSequence = Sequence([item])
        item = outer
    return item.ContentSequence


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda header: setattr(header, "ContentSequence", nested(60)), "sequences nested too deeply"),
        (lambda header: setattr(header, "NumberOfFrames", 10**9), "larger than the limits against hostile files"),
        (lambda header: setattr(header, "NumberOfFrames", 30), "shorter than its header says"),
    ],
)
def test_dangerous_dicom_is_held_back(make, tmp_path, change, reason):
    make.series(tmp_path / "in" / "good", series="1.2.9")
    path = make.slice(tmp_path / "in" / "bad", series="1.2.3")
    header = pydicom.dcmread(path)
    change(header)
    header.save_as(path, enforce_file_format=True)
    assert make.run(tmp_path / "in", tmp_path / "out", task="brats").result.quarantined_by_reason == {reason: 1}


def test_a_codec_that_is_missing_holds_the_file_back(make, tmp_path, monkeypatch):
    make.series(tmp_path / "in" / "good", series="1.2.9")
    path = make.slice(tmp_path / "in" / "bad", series="1.2.3")
    header = pydicom.dcmread(path)
    header.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xf7"])
    header["PixelData"].VR = "OB"
    header["PixelData"].is_undefined_length = True
    header.file_meta.TransferSyntaxUID = JPEGLSLossless
    header.save_as(path, enforce_file_format=True)
    monkeypatch.setattr("dpmed.ingest.dicom.can_decode", lambda syntax: False)
    reasons = make.run(tmp_path / "in", tmp_path / "out", task="brats").result.quarantined_by_reason
    assert reasons == {"compressed by a codec that is not installed": 1}


def test_run_length_encoding_is_decoded(make, tmp_path, key):
    pixels = np.arange(64, dtype=np.uint16).reshape(8, 8)
    for folder in ("plain", "packed"):
        path = make.slice(tmp_path / folder / "x", pixels, series="1.2.3")
        if folder == "packed":
            header = pydicom.dcmread(path)
            header.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
            header.save_as(path)
        make.run(tmp_path / folder, tmp_path / f"out_{folder}", task="brats", key=key)
    one, two = (make.snapshot(tmp_path / f"out_{folder}" / "images") for folder in ("plain", "packed"))
    assert one == two


def test_big_endian_is_read(make, tmp_path):
    pixels = np.arange(20, dtype=np.uint16).reshape(4, 5)
    header = make.dataset(pixels)
    header.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    header.PixelData = pixels.astype(">u2").tobytes()
    (tmp_path / "in").mkdir()
    header.save_as(tmp_path / "in" / "x", enforce_file_format=True)
    assert make.run(tmp_path / "in", tmp_path / "out", task="brats").result.cases == 1


def test_dicom_beside_nifti_is_refused(make, tmp_path):
    make.series(tmp_path / "in" / "a")
    make.case(tmp_path / "in", "alpha")
    with pytest.raises(ConfigError, match="both DICOM"):
        make.run(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("kind", ["dicom", "nifti"])
def test_mutated_files_never_crash_and_never_speak(make, tmp_path, kind, capfd):
    """Random damage anywhere in a file ends in a case, in quarantine or in an expected error."""
    chance = random.Random(7)
    for attempt in range(60):
        folder = tmp_path / f"{attempt}"
        if kind == "dicom":
            make.series(folder / "in" / "a", series="1.2.3")
        else:
            make.case(folder / "in", "alpha", ("t1",), mask=None)
        for path in (folder / "in").rglob("*"):
            if path.is_file():
                content = bytearray(path.read_bytes())
                for _ in range(chance.randint(1, 12)):
                    content[chance.randrange(len(content))] = chance.randrange(256)
                path.write_bytes(content[: chance.randint(len(content) // 2, len(content))])
        request = IngestRequest(source=folder / "in", out=folder / "out", task="brats", workers=1)
        try:
            list(ingest(request))
        except DpmedError as error:
            assert not any(value in error.message for value in make.invented.values())
    assert capfd.readouterr() == ("", "")
