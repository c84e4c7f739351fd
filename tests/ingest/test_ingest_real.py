"""The real sets, where they are at hand: every one ends with a dataset or with a reason."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = [pytest.mark.real_images, pytest.mark.skipif(not DATA.is_dir(), reason="real images are not at hand")]


@pytest.mark.parametrize(
    ("name", "options", "patients", "cases"),
    [
        ("brats2013", {"label_scheme": "brats2013"}, 2, 2),
        ("brain_tumor_progression", {"label_scheme": "binary", "labels": "scans.csv"}, 5, 10),
        ("dicom/covid19_ny_sbu_pairs", {"task": "brats"}, 7, 14),
        ("dicom/dcm_qa_deident", {"task": "brats"}, 1, 1),
        ("dicom/studyforrest_t1", {"task": "brats"}, 1, 1),
        ("dicom/tcia_pseudo_phi_mr/dicom", {"task": "brats"}, 1, 1),
    ],
)
def test_real_sets_come_through_whole_and_clean(make, tmp_path, name, options, patients, cases):
    if "labels" in options:
        options = options | {"labels": DATA / name / options["labels"]}
    result = make.run(DATA / name, tmp_path / "out", verify=True, **options).result
    assert (result.patients, result.cases, result.quarantined, result.verified) == (patients, cases, 0, True)
