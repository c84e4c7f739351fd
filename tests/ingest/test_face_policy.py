"""`--faces`: a volume with a face is held back or loses it; a brain without its skull is left alone."""

import json

import nibabel as nib
import numpy as np
import pytest

from dpmed.cli.main import main
from dpmed.core.errors import ExitCode
from dpmed.ingest.faces.state import FaceState, face_state
from dpmed.samples import write_brats


def ingest(source, out, *options):
    code = main(["ingest", str(source), "--out", str(out), "--json", *options])
    return code, json.loads((out / "scrub-report.json").read_text()) if (out / "scrub-report.json").exists() else {}


def test_a_brain_without_its_skull_is_left_alone_and_the_report_says_so(tmp_path):
    write_brats(tmp_path / "in", patients=2)
    code, report = ingest(tmp_path / "in", tmp_path / "out", "--label-scheme", "brats")
    assert code == ExitCode.DONE
    assert report["faces"] == {FaceState.SKULL_STRIPPED.value: 2}
    code, report = ingest(tmp_path / "in", tmp_path / "let", "--label-scheme", "brats", "--faces", "ignore")
    assert code == ExitCode.DONE
    assert report["faces"] == {"not looked at, as asked": 2}


@pytest.mark.real_images
def test_a_real_face_is_held_back_or_gone(shared_data, tmp_path):
    head = shared_data / "head_nifti" / "chris_t1.nii.gz"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "head.nii.gz").write_bytes(head.read_bytes())
    labels = tmp_path / "labels.csv"
    labels.write_text("image,patient,modality\nhead.nii.gz,one,t1\n")
    options = ("--task", "brats", "--labels", str(labels))
    code, _ = ingest(tmp_path / "in", tmp_path / "gated", *options)
    assert code == ExitCode.NO_INPUT
    code, report = ingest(tmp_path / "in", tmp_path / "out", *options, "--faces", "remove")
    assert code == ExitCode.DONE
    assert report["faces"] == {"face removed": 1}
    (written,) = (tmp_path / "out" / "images").iterdir()
    after, before = nib.load(written), nib.load(head)
    voxels = np.asanyarray(after.dataobj)
    assert face_state(voxels, after.affine, modality="MR") is FaceState.DEFACED
    changed = (voxels != np.asanyarray(before.dataobj)).mean()
    assert 0.005 < changed < 0.4
