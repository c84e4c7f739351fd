"""Whatever comes in, `dpmed ingest` ends in time, says no value of it and writes nowhere but to its folder.

DPMED_FUZZ sets how many files are tried of each format (some hundred by default; 5000 is a thorough run), and
DPMED_FUZZ_SEED which.
"""

import gzip
import os
import random
import shutil
import signal
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from tests.conftest import SHARED

from .canaries import Search, write_canaries
from .canaries.planting import Canaries, Planter
from .canaries.running import Run, ingest
from .canaries.words import Inventor
from .hostile import climbed, hostile_dicom, hostile_nifti
from .mutations import mutated

FILES = int(os.environ.get("DPMED_FUZZ", "300"))
SEED = int(os.environ.get("DPMED_FUZZ_SEED", "11"))
AT_ONCE = 25
"""Files of one ingest: enough that starting it does not count, few enough to tell which file is to blame."""
LONGEST_SECONDS = 10
LARGEST = 300_000
"""Bytes of a real file: damage does the same to a small one, in less time."""
ENDS = frozenset({0, 3, 4})
"""Done, nothing usable, some held back."""
TELLING = ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "SOPInstanceUID", "AccessionNumber")


@pytest.fixture(scope="module")
def canaries(tmp_path_factory):
    return write_canaries(tmp_path_factory.mktemp("canaries"))


def real_dicom() -> list[bytes]:
    """Files of scanners, with oddities, that come with pydicom."""
    folder = Path(get_testdata_file("CT_small.dcm")).parent
    return [path.read_bytes() for path in sorted(folder.rglob("*.dcm")) if path.stat().st_size < LARGEST]


def real_nifti(count: int = 20) -> list[bytes]:
    """Real volumes, where they are at hand."""
    return [path.read_bytes() for path in sorted(SHARED.rglob("*.nii.gz")) if path.stat().st_size < LARGEST][:count]


def telling_values(content: bytes) -> set[str]:
    """What a message may not quote of a real file."""
    try:
        header = pydicom.dcmread(pydicom.filebase.DicomBytesIO(content), stop_before_pixels=True, force=True)
        values = {str(header.get(keyword, "")) for keyword in TELLING}
    except Exception:  # a file that pydicom cannot read tells it nothing
        return set()
    return {value for value in values if len(value) >= 6}


def volumes(planter: Planter) -> list[bytes]:
    """Small volumes of both versions and several types, whose headers, extensions and gzip members say too much."""
    found = []
    for version in (nib.Nifti1Image, nib.Nifti2Image):
        for kind in (np.uint8, np.int16, np.float32, np.float64):
            image = version(np.arange(216).reshape(6, 6, 6).astype(kind), np.diag([-2.0, 2, 3, 1]))
            image.header["descrip"], image.header["aux_file"] = planter.word("descrip"), planter.word("aux_file")
            image.header["intent_name"] = planter.word("intent_name")
            image.header.extensions.append(nib.nifti1.Nifti1Extension(6, planter.name("extension").encode()))
            found += [image.to_bytes(), gzip.compress(image.to_bytes(), mtime=0)]
    return found


def as_nifti(folder: Path, content: bytes, number: int) -> None:
    suffix = ".nii.gz" if content[:2] == b"\x1f\x8b" else ".nii"
    (folder / f"case{number}").mkdir(parents=True)
    (folder / f"case{number}" / f"case{number}_t1{suffix}").write_bytes(content)


def as_dicom(folder: Path, content: bytes, number: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{number}.dcm").write_bytes(content)


def tried(folder: Path, write, contents: list[bytes], *options: str) -> Run:
    """One ingest of some files; a hang is ended, and then told by the exit code of an interruption."""
    for number, content in enumerate(contents):
        write(folder / "in", content, number)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(len(contents) * LONGEST_SECONDS)
    started = time.monotonic()
    try:
        run = ingest(folder, folder / "in", "--workers", "1", *options)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if len(contents) > 1 and time.monotonic() - started > LONGEST_SECONDS:
        for number, content in enumerate(contents):
            (folder / f"alone{number}").mkdir()
            tried(folder / f"alone{number}", write, [content], *options)
    else:
        assert time.monotonic() - started <= LONGEST_SECONDS * len(contents)
    assert run.code in ENDS, run.said[-2000:]
    assert "bug in dpmed" not in run.said
    return run


def written_elsewhere(folder: Path) -> list[Path]:
    """Anything beside the input, the output and the key."""
    expected = ("in", "out", "key", "alone")
    return [path for path in folder.iterdir() if not path.name.startswith(expected)] + climbed(folder)


def fuzz(root: Path, write, seeds: list[bytes], canaries: Canaries, values: set[str], *ways: tuple[str, ...]) -> None:
    """FILES damaged seeds, some at a time, by one way of ingesting after the other."""
    draw, search = random.Random(SEED), Search(canaries)
    for start in range(0, FILES, AT_ONCE):
        count = min(AT_ONCE, FILES - start)
        contents = [mutated(draw.choice(seeds), draw.choice(seeds), draw) for _ in range(count)]
        folder = root / f"{start}"
        folder.mkdir()
        run = tried(folder, write, contents, *ways[start // AT_ONCE % len(ways)])
        assert not search.inside(run.said.encode()), start
        assert not [value for value in values if value in run.said], start
        assert written_elsewhere(folder) == [], start
        # Not in images: damage moves a header's bytes to where voxels are.
        documents = [path.read_bytes() for path in run.out.rglob("*") if path.suffix in {".json", ".html"}]
        assert not search.inside(b"".join(documents)), start
        shutil.rmtree(folder)


def test_damaged_dicom_ends_well_and_tells_nothing(make, canaries, tmp_path):
    planted = [(canaries.folder / one.file).read_bytes() for one in canaries.instances]
    real = real_dicom()
    # Bombs take their second each; damage to one of them is damage to any deflated file.
    harmful = [content for content in hostile_dicom(make.dataset).values() if len(content) < LARGEST]
    values = set.union(*map(telling_values, real))
    ways = (("--format", "dicom", "--verbose"), ("--task", "brats"), ("--format", "dicom", "--pixels", "ignore"))
    fuzz(tmp_path, as_dicom, planted + real + harmful, canaries, values, *ways)


def test_damaged_nifti_ends_well_and_tells_nothing(tmp_path):
    planter = Planter(Inventor(5))
    seeds = (
        volumes(planter) + real_nifti() + [content for content in hostile_nifti().values() if len(content) < LARGEST]
    )
    canaries = Canaries(tmp_path, (), tuple(planter.book))
    fuzz(tmp_path, as_nifti, seeds, canaries, set(), ("--task", "brats"), ("--task", "brats", "--verbose"))


@pytest.mark.parametrize("way", [("--format", "dicom"), ("--task", "brats")], ids=["dicom", "nifti"])
def test_dicom_that_is_meant_to_harm_does_none(make, tmp_path, way):
    for number, (name, content) in enumerate(hostile_dicom(make.dataset).items()):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        run = tried(folder, as_dicom, [content], *way)
        assert not any(value in run.said for value in (*make.invented.values(), "climbed")), name
        assert written_elsewhere(folder) == [], name


def test_nifti_that_is_meant_to_harm_does_none(tmp_path):
    for number, (name, content) in enumerate(hostile_nifti().items()):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        tried(folder, as_nifti, [content], "--task", "brats")
        assert written_elsewhere(folder) == [], name
