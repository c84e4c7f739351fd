"""`--verify --format dicom`: what the rules let stay is no leak, what they take away is one wherever it turns up."""

import datetime
import json

import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian

from dpmed.core.errors import IdentifierError
from dpmed.ingest.objects.harvest import Harvest, Harvester
from dpmed.ingest.objects.instance import Scrubber
from dpmed.ingest.objects.values import Person
from dpmed.ingest.pseudonyms import Pseudonyms
from dpmed.ingest.request import IngestRequest
from dpmed.ingest.rules.compile import rules_for
from dpmed.ingest.rules.profile import load_profile
from dpmed.ingest.run import ingest

PERSON = Person("p-000000000000", 100, 0)


@pytest.fixture
def export(tmp_path, key):
    def run(**options):
        request = IngestRequest(
            source=tmp_path / "in", out=tmp_path / "out", key=key, workers=1, format="dicom", verify=True,
            **({"pixels": "ignore"} | options),
        )  # fmt: skip
        for _ in ingest(request):
            pass
        return json.loads((tmp_path / "out" / "scrub-report.json").read_text())

    return run


@pytest.fixture
def leaky(monkeypatch):
    """Let every object end in some bytes that the rules did not see, or change a header afterwards."""

    def leak(spoil):
        honest = Scrubber.scrub

        def scrub(self, source, target, person, **known):
            done = honest(self, source, target, person, **known)
            spoil(target)
            return done

        monkeypatch.setattr(Scrubber, "scrub", scrub)

    return leak


def harvested(make, tmp_path, profile="training", **values):
    path = make.slice(tmp_path / "x.dcm", **values)
    return Harvester(rules_for(load_profile(profile)))(path, PERSON)


def test_a_clean_export_is_verified_with_figures(make, tmp_path, export):
    make.series(tmp_path / "in" / "Quillfeather_19420713")
    report = export()
    assert report["verified"] is True
    assert report["searched"]["files"] == report["images_out"] == 3
    assert report["searched"]["needles"] > 10
    assert "moved by a secret number of days" in report["dates"]
    assert report["linkage"]["patients"] == 1


@pytest.mark.parametrize(
    "word", [b"Quillfeather", b"hosp-778812", b"Larkspur Infirmary", b"0171-5550142", b"1.2.826.0.1.77.9"]
)
def test_a_string_behind_the_pixels_is_a_leak(make, tmp_path, export, leaky, word):
    make.series(tmp_path / "in" / "a")
    leaky(lambda target: target.write_bytes(target.read_bytes() + b"\0" + word + b"\0"))
    with pytest.raises(IdentifierError, match="in 3 places") as stop:
        export()
    assert word.decode() not in str(stop.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("keyword", "value"), [("StudyDate", "20190304"), ("PatientComments", "born 19420713")])
def test_a_true_date_in_a_header_is_a_leak(make, tmp_path, export, leaky, keyword, value):
    def spoil(target):
        header = pydicom.dcmread(target)
        setattr(header, keyword, value)
        header.save_as(target)

    make.series(tmp_path / "in" / "a")
    leaky(spoil)
    with pytest.raises(IdentifierError):
        export()


def test_a_date_that_moved_onto_somebody_elses_true_date_is_no_leak(make, tmp_path, export):
    shift = Pseudonyms(b"\xab" * 32).shift_days("A")
    true = datetime.date(2019, 3, 4)
    moved = (true - datetime.timedelta(shift)).strftime("%Y%m%d")
    make.series(tmp_path / "in" / "a", patient="A", series="1.2.3.1", StudyDate="20190304")
    make.series(tmp_path / "in" / "b", patient="B", series="1.2.3.2", StudyDate=moved)
    assert export()["verified"] is True
    assert any(pydicom.dcmread(path).StudyDate == moved for path in (tmp_path / "out").rglob("*.dcm"))


def test_a_date_that_moved_onto_another_of_the_same_patient_is_no_leak(make, tmp_path, export):
    shift = Pseudonyms(b"\xab" * 32).shift_days("A")
    earlier = (datetime.date(2019, 3, 4) - datetime.timedelta(shift)).strftime("%Y%m%d")
    make.series(tmp_path / "in" / "a", patient="A", series="1.2.3.1", StudyDate="20190304")
    make.series(tmp_path / "in" / "b", patient="A", series="1.2.3.2", StudyDate=earlier)
    assert export()["verified"] is True


def test_a_surname_that_is_a_word_of_imaging_may_stand_in_others_objects(make, tmp_path, export):
    make.series(tmp_path / "in" / "a", patient="A", series="1.2.3.1", PatientName="Long^Axial")
    make.series(tmp_path / "in" / "b", patient="B", series="1.2.3.2", SeriesDescription="long axial chest")
    assert export()["verified"] is True
    assert any(
        pydicom.dcmread(path).get("SeriesDescription") == "long axial chest"
        for path in (tmp_path / "out").rglob("*.dcm")
    )


def test_the_same_surname_in_the_patients_own_object_is_a_leak(make, tmp_path, export, leaky):
    def spoil(target):
        header = pydicom.dcmread(target)
        header.SeriesDescription = "long axial chest"
        header.save_as(target)

    make.series(tmp_path / "in" / "a", patient="A", series="1.2.3.1", PatientName="Long^Axial")
    leaky(spoil)
    with pytest.raises(IdentifierError):
        export()


def test_what_the_rules_keep_is_not_searched_for(make, tmp_path):
    found = harvested(
        make, tmp_path, Manufacturer="SIEMENS", ManufacturerModelName="LightSpeed VCT", StationName="SIEMENS"
    )
    assert b"siemens" in found.stays
    assert b"LightSpeed VCT" not in found.everywhere


def test_dates_and_ambiguous_words_belong_to_the_patient(make, tmp_path):
    found = harvested(make, tmp_path, PatientName="Long^Ottoline", PatientID="700148")
    assert {b"Ottoline", b"Long^Ottoline", b"ACC5512398"} <= found.everywhere
    assert {b"20190304", b"19420713", b"700148", b"Long"} <= found.own
    assert not found.own & found.everywhere
    assert b"20181124" in found.moved  # 100 days before 4 March 2019


def test_times_are_searched_only_where_they_go(make, tmp_path):
    assert b"101502" in harvested(make, tmp_path, StudyTime="101502").own
    assert b"101502" not in harvested(make, tmp_path, "research-longitudinal", StudyTime="101502").own


def test_names_of_folders_that_are_words_of_imaging_mean_nobody():
    harvester = Harvester(rules_for(load_profile("training")))
    assert harvester.of_name("chest/Quillfeather/axial.dcm").everywhere == {b"Quillfeather"}


def test_a_folder_named_by_a_date_belongs_to_its_patient():
    """Somebody else's date may have moved onto it."""
    found = Harvester(rules_for(load_profile("training"))).of_name("20190304/91234567/x.dcm")
    assert (found.own, found.everywhere) == ({b"20190304"}, {b"91234567"})


def test_a_harvest_never_shows_what_it_holds(make, tmp_path):
    found = harvested(make, tmp_path)
    assert "Quillfeather" not in repr(found.joined([Harvest(own=frozenset({b"Quillfeather"}))]))


def test_a_malformed_value_hides_no_other(make, tmp_path):
    """Implicit VR: three bytes where the dictionary of private attributes expects floats of four."""
    path = make.slice(tmp_path / "x.dcm")
    header = pydicom.dcmread(path)
    header.add_new(0x20010010, "LO", "Philips Imaging DD 001")
    header.add_new(0x20011001, "UN", b"abc")
    header.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    header.save_as(path)
    found = Harvester(rules_for(load_profile("training")))(path, PERSON)
    assert b"Ottoline" in found.everywhere
    assert b"20190304" in found.own


def test_a_file_that_cannot_be_read_yields_nothing(tmp_path):
    (tmp_path / "x").write_bytes(b"no DICOM")
    assert Harvester(rules_for(load_profile("basic")))(tmp_path / "x", PERSON) == Harvest()
