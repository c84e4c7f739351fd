"""The manifest: no identifier by type, no patient in two splits, readable by MONAI."""

import json

import pytest
from pydantic import ValidationError

from dpmed.core.errors import MismatchError, NoInputError
from dpmed.core.labels import SCHEMES
from dpmed.core.manifest import Case, Geometry, Manifest, ScrubSummary

SCRUB = ScrubSummary(profile="training", identifiers_removed={"name": 3}, images_in=3, images_out=3, quarantined=0)
SHA = "0" * 64


def segmented(number: int, *, patient: int = 0, split: str = "train") -> Case:
    name = f"c-{number:012x}"
    images = {"t1": f"images/{name}_t1.nii.gz", "flair": f"images/{name}_flair.nii.gz"}
    return Case(
        case=name,
        patient=f"p-{patient:012x}",
        images=images,
        mask=f"labels/{name}.nii.gz",
        split=split,
        intensity="arbitrary",
        geometry=Geometry(shape=(8, 8, 4), spacing_mm=(1.0, 1.0, 2.0), orientation="RAS"),
        sha256=dict.fromkeys(images.values(), SHA),
    )


def labelled(number: int, label: int) -> Case:
    name = f"images/c-{number:012x}_ct.png"
    return Case(
        case=f"c-{number:012x}",
        patient=f"p-{number:012x}",
        images={"ct": name},
        label=label,
        split="test",
        intensity="display",
        geometry=Geometry(shape=(8, 8), spacing_mm=(1.0, 1.0), orientation=""),
        sha256={name: SHA},
    )


def manifest(*cases: Case) -> Manifest:
    return Manifest(task="brats", label_scheme=SCHEMES["brats"], cases=cases, scrub=SCRUB)


def test_what_is_written_is_what_is_read(tmp_path):
    whole = manifest(segmented(1), segmented(2, patient=1, split="val"), labelled(3, 1))
    (tmp_path / "manifest.json").write_text(whole.to_json())
    assert Manifest.load(tmp_path) == whole


def test_two_scans_of_one_patient_are_one_patient():
    whole = manifest(segmented(1), segmented(2), segmented(3, patient=1))
    assert whole.patients("train") == ("p-000000000000", "p-000000000001")
    assert [case.case for case in whole.of_patient("p-000000000000")] == ["c-000000000001", "c-000000000002"]
    assert whole.patients("val") == ()


def test_a_patient_in_two_splits_is_refused():
    with pytest.raises(ValidationError, match="a patient is in two splits"):
        manifest(segmented(1), segmented(2, split="test"))


def test_two_cases_of_one_name_are_refused():
    with pytest.raises(ValidationError, match="share one name"):
        manifest(segmented(1), segmented(1))


@pytest.mark.parametrize(
    "change",
    [
        {"patient": "DOE^JANE"},
        {"case": "BraTS19_0042"},
        {"mask": "labels/../../DOE.nii.gz"},
        {"mask": "/data/DOE/seg.nii.gz"},
        {"images": {}},
        {"PatientID": "4711"},
        {"label": 2},
    ],
    ids=str,
)
def test_a_case_has_no_place_for_an_identifier(change):
    record = segmented(1).model_dump() | change
    with pytest.raises(ValidationError):
        Case.model_validate(record)


def test_monai_reads_the_same_file_as_a_decathlon_datalist(tmp_path):
    from monai.data import load_decathlon_datalist

    (tmp_path / "manifest.json").write_text(manifest(segmented(1), labelled(2, 1)).to_json())
    (train,) = load_decathlon_datalist(tmp_path / "manifest.json", True, "training", tmp_path)
    assert train["label"] == str(tmp_path / "labels/c-000000000001.nii.gz")
    assert train["image"] == [str(tmp_path / f"images/c-000000000001_{name}.nii.gz") for name in ("t1", "flair")]
    (test,) = load_decathlon_datalist(tmp_path / "manifest.json", False, "test", tmp_path)
    assert (test["image"], test["label"]) == (str(tmp_path / "images/c-000000000002_ct.png"), 1)


def test_an_unknown_key_is_refused():
    record = json.loads(manifest(segmented(1)).to_json()) | {"comment": "DOE^JANE"}
    with pytest.raises(MismatchError) as refusal:
        Manifest.from_json(json.dumps(record))
    assert "comment" in refusal.value.message
    assert "DOE" not in refusal.value.message


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "dpmed.manifest/9"}', "\x00"])
def test_a_damaged_manifest_is_refused(text):
    with pytest.raises(MismatchError) as refusal:
        Manifest.from_json(text)
    assert refusal.value.hint


def test_a_folder_without_manifest_is_no_input(tmp_path):
    with pytest.raises(NoInputError, match=r"manifest\.json") as refusal:
        Manifest.load(tmp_path / "nowhere")
    assert "dpmed ingest" in refusal.value.hint
