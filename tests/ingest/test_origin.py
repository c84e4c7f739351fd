import datetime
import json
import warnings

import pydicom
import pytest

from dpmed.core.errors import ConfigError, MismatchError
from dpmed.core.manifest import Attributes, Manifest
from dpmed.ingest.origin import NOT_KNOWN, Origin, Scan, age_band, age_in_years, attributes_of, maker, origin_of
from dpmed.ingest.pseudonyms import Pseudonyms
from dpmed.ingest.rules.profile import load_profile

PSEUDONYMS = Pseudonyms(b"k" * 32)
EVERY = ("sex", "age_band", "scanner", "site", "study_day")


def header(**values):
    made = pydicom.Dataset()
    with warnings.catch_warnings(action="ignore"):  # some of the values are improper on purpose
        for keyword, value in values.items():
            setattr(made, keyword, value)
    return made


def test_a_header_tells_sex_age_maker_place_and_day():
    found = origin_of(
        header(
            PatientSex="F",
            PatientAge="057Y",
            Manufacturer="GE MEDICAL SYSTEMS",
            InstitutionName=" Larkspur  Infirmary",
            StudyDate="20190304",
        )
    )
    assert found == Origin("F", 57, "GE MEDICAL SYSTEMS", "larkspur infirmary", datetime.date(2019, 3, 4))


@pytest.mark.parametrize(
    ("born", "age"), [("19420304", 77), ("19420305", 76), ("19420303", 77), ("20200101", None), ("18000101", None)]
)
def test_without_an_age_it_is_counted_from_birth_to_study(born, age):
    assert origin_of(header(PatientBirthDate=born, StudyDate="20190304")).age == age


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("057Y", 57),
        ("018M", 1),
        ("030W", 0),
        ("010D", 0),
        ("104Y", 104),
        ("63.0", 63),
        ("63", 63),
        ("90+", 90),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("old", None),
        ("-3", None),
        ("999Y", None),
        ("45-50", None),
    ],
)
def test_ages_as_headers_and_tables_write_them(text, years):
    assert age_in_years(text) == years


@pytest.mark.parametrize("values", [{"PatientSex": "U"}, {"StudyDate": "2019"}, {"StudyDate": "20191399"}, {}])
def test_what_makes_no_sense_counts_as_unknown(values):
    assert origin_of(header(**values)) == NOT_KNOWN


@pytest.mark.parametrize(
    ("age", "band"), [(0, "0-9"), (49, "40-49"), (50, "50-59"), (89, "80-89"), (90, "90+"), (104, "90+")]
)
def test_all_above_89_are_one_band(age, band):
    assert age_band(age) == band


def test_a_lower_cap_closes_the_last_band():
    assert [age_band(age, cap=84) for age in (79, 80, 84, 85, 95)] == ["70-79", "80-84", "80-84", "85+", "85+"]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("GE MEDICAL SYSTEMS", "ge"),
        ("SIEMENS", "siemens"),
        ("Siemens Healthineers", "siemens"),
        ("GEMS", "ge"),
        ("Philips Medical Systems", "philips"),
        ("TOSHIBA", "canon"),
        ("Canon Medical", "canon"),
        ("UIH", "united-imaging"),
        ("Quillfeather Instruments", "other"),
        ("Genuine Imaging", "other"),
        ("", None),
        ("1234", None),
    ],
)
def test_makers_become_one_word_of_a_short_list(name, word):
    assert maker(name) == word


def test_days_count_from_the_patients_own_first_study():
    day = datetime.date(2019, 3, 4)
    scans = [
        Scan("c1", "A", Origin(studied=day + datetime.timedelta(31))),
        Scan("c2", "A", Origin(studied=day)),
        Scan("c3", "B", Origin(studied=day + datetime.timedelta(400))),
        Scan("c4", "B", Origin()),
    ]
    found = attributes_of(scans, EVERY, PSEUDONYMS)
    assert [found[case].study_day for case in ("c1", "c2", "c3", "c4")] == [31, 0, 0, None]


def test_sites_are_pseudonyms_under_the_key():
    scans = [Scan("c", "A", Origin(institution="larkspur infirmary"))]
    (site,) = {each.site for each in attributes_of(scans, EVERY, PSEUDONYMS).values()}
    (other,) = {each.site for each in attributes_of(scans, EVERY, Pseudonyms(b"j" * 32)).values()}
    assert site.startswith("s-")
    assert site != other


@pytest.mark.parametrize(
    ("profile", "kept"),
    [("basic", set()), ("training", {*EVERY} - {"site"}), ("research-longitudinal", {*EVERY})],
)
def test_the_profile_decides_what_the_manifest_holds(make, tmp_path, profile, kept):
    make.series(tmp_path / "in" / "a", PatientSex="M", PatientAge="063Y", Manufacturer="SIEMENS")
    got = make.run(tmp_path / "in", tmp_path / "out", task="brats", profile=profile)
    (case,) = got.manifest.cases
    assert set(case.attributes.model_dump()) == kept == set(load_profile(profile).attributes)
    assert not any(word in case.to_json() for word in ("Larkspur", "SIEMENS", "2019"))


def test_the_label_file_fills_what_the_header_leaves_open(make, tmp_path):
    make.series(tmp_path / "in" / "a", PatientSex="M")
    (tmp_path / "l.csv").write_text("patient,image,label,sex,age,shoe size\nHOSP-778812,a,1,F,91,44\n")
    got = make.run(tmp_path / "in", tmp_path / "out", task="covid-ct", labels=tmp_path / "l.csv")
    (case,) = got.manifest.cases
    assert (case.attributes.sex, case.attributes.age_band) == ("M", "70-79")  # from the header: born 1942, seen 2019
    make.series(tmp_path / "in2" / "a", PatientBirthDate=None)
    got = make.run(tmp_path / "in2", tmp_path / "out2", task="covid-ct", labels=tmp_path / "l.csv")
    (case,) = got.manifest.cases
    assert (case.attributes.sex, case.attributes.age_band) == ("F", "90+")


def test_pictures_take_sex_and_age_from_the_label_file(make, tmp_path):
    csv = make.pictures(tmp_path / "in" / "images", count=2)
    csv.write_text("image,patient,label,sex,age\nshot0.png,A,0,female,40\nshot1.png,B,1,,nan\n")
    got = make.run(tmp_path / "in", tmp_path / "out", labels=csv)
    found = {case.label: case.attributes for case in got.manifest.cases}
    assert found == {0: Attributes(sex="F", age_band="40-49"), 1: Attributes()}


@pytest.mark.parametrize(("column", "value"), [("sex", "Quill"), ("sex", "1"), ("age", "young"), ("age", "-4")])
def test_other_values_are_refused_without_being_quoted(make, tmp_path, column, value):
    csv = make.pictures(tmp_path / "in" / "images", count=2)
    csv.write_text(f"image,patient,label,{column}\nshot0.png,A,0,{value}\nshot1.png,B,1,\n")
    with pytest.raises(ConfigError, match="line 2") as stop:
        make.run(tmp_path / "in", tmp_path / "out", labels=csv)
    assert value not in f"{stop.value} {stop.value.hint}".replace("2", "").replace("F, M, O", "")


def test_k_is_reached_in_the_manifest_where_it_is_asked_for(make, tmp_path):
    for number, (sex, age) in enumerate([("F", "041Y"), ("F", "058Y"), ("F", "047Y"), ("M", "052Y")]):
        folder = tmp_path / "in" / f"s{number}"
        make.series(folder, patient=f"P{number}", series=f"1.2.3.{number}", PatientSex=sex, PatientAge=age)
    options = {"task": "brats", "k_anonymity": 2}
    got = make.run(tmp_path / "in", tmp_path / "out", **options)
    report = json.loads((tmp_path / "out" / "scrub-report.json").read_text())
    assert report["linkage"]["k"] >= 2
    assert report["generalised"] or report["patients_suppressed"]
    assert "Given up for k" in (tmp_path / "out" / "scrub-report.html").read_text()
    shown = [case.attributes.to_json() for case in got.manifest.cases]
    assert min(shown.count(one) for one in shown) >= 2


def test_manifests_from_before_there_were_attributes_still_load(make, tmp_path):
    make.series(tmp_path / "in" / "a")
    make.run(tmp_path / "in", tmp_path / "out", task="brats")
    old = json.loads((tmp_path / "out" / "manifest.json").read_text())
    for case in old["cases"]:
        del case["attributes"]
    assert all(case.attributes == Attributes() for case in Manifest.from_json(json.dumps(old)).cases)


@pytest.mark.parametrize(
    "values",
    [
        {"sex": "female"},
        {"age_band": "about 40"},
        {"scanner": "GE Medical"},
        {"site": "Larkspur"},
        {"study_day": -1},
        {"study_date": "20190304"},
        {"scanner": "x" * 25},
    ],
)
def test_an_attribute_cannot_hold_an_original_value(values):
    with pytest.raises(MismatchError):
        Attributes.from_json(json.dumps(values))


def test_what_is_not_known_is_not_written():
    assert json.loads(Attributes(sex="O").to_json()) == {"sex": "O"}
    assert Attributes.from_json("{}") == Attributes()
