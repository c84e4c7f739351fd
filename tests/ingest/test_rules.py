"""The tables of dpmed/ingest/rules: complete, consistent with each other, and free of what could identify."""

import re

import pytest
from pydicom.datadict import DicomDictionary, dictionary_VM, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.sr._concepts_dict import concepts

from dpmed.core.errors import ConfigError
from dpmed.ingest.rules.compile import Action, rules_for
from dpmed.ingest.rules.profile import OPTION_CODES, load_profile, method_codes, shipped_profiles
from dpmed.ingest.rules.table import allowed, safe_private, table, terms, vocabulary
from dpmed.ingest.rules.text import Cleaner

ACTIONS = {"X", "Z", "D", "U", "X/Z", "X/D", "Z/D", "X/Z/D", "X/Z/U*"}
NUMBERS = {"DS", "IS", "FL", "FD", "US", "UL", "SS", "SL", "SV", "UV"}
SURNAMES = """
    smith johnson williams jones garcia miller davis rodriguez martinez hernandez lopez gonzalez wilson anderson thomas
    taylor moore jackson martin lee perez thompson harris sanchez clark ramirez lewis robinson walker nguyen müller
    schmidt schneider fischer weber meyer wagner becker schulz hoffmann dubois durand leroy bernard rossi russo ferrari
    esposito silva santos oliveira pereira jansen bakker visser andersson kowalski nowak yilmaz kim wang zhang chen
    singh patel khan ali cohen ivanov
"""
GIVEN_NAMES = """
    james mary robert patricia john jennifer michael linda david elizabeth william susan thomas sarah charles karen anna
    peter hans klaus ursula pierre jean marie jose carlos maria giulia marco joao miguel lucas emma sophie noah mia leon
    mohammed fatima wei yan priya rose iris mark grace tim tom max pat rod
"""


def tag(keyword):
    return tag_for_keyword(keyword)


def test_the_table_counts_what_the_standard_lists():
    # E.1-1 of 2026c: 655 rows beside private attributes, of which three are ranges; 617 of the others stood in 2024b.
    assert len(table()) + len({"50xx,xxxx", "60xx,3000", "60xx,4000"}) == 655
    assert {rule.basic for rule in table().values()} == ACTIONS
    assert all((rule.tag in DicomDictionary) == (rule.kind != "not yet named") for rule in table().values())


def test_options_are_those_of_the_standard():
    found = {(option, action) for rule in table().values() for option, action in rule.options.items()}
    assert {option for option, _ in found} <= set(OPTION_CODES)
    assert {action for _, action in found} <= {"K", "C", "U"}


@pytest.mark.parametrize(
    ("keyword", "basic", "options"),
    [
        ("PatientName", "Z", {}),
        ("PatientSex", "Z", {"retain-patient-characteristics": "K"}),
        ("StudyDescription", "X", {"clean-descriptors": "C"}),
        ("StudyInstanceUID", "U", {"retain-uids": "K"}),
        ("DeviceSerialNumber", "X/Z/D", {"retain-device-identity": "K"}),
        ("InstitutionName", "X/Z/D", {"retain-institution-identity": "K"}),
        ("ContentSequence", "D", {"clean-structured-content": "C"}),
        ("GraphicAnnotationSequence", "D", {"clean-graphics": "C"}),
        ("StudyDate", "Z", {"retain-full-dates": "K", "retain-modified-dates": "C"}),
        ("Allergies", "X", {"retain-patient-characteristics": "C", "clean-descriptors": "C"}),
    ],
)
def test_rules_as_read_from_the_standard_by_eye(keyword, basic, options):
    rule = table()[tag(keyword)]
    assert (rule.basic, dict(rule.options)) == (basic, options)


def test_what_the_standard_governs_is_not_in_the_allow_list():
    assert not set(allowed()) & set(table())


def test_the_allow_list_is_of_the_dictionary_in_order_and_by_its_representation():
    assert list(allowed()) == sorted(allowed())
    for number, vr in allowed().items():
        assert vr in dictionary_VR(number).split(" or ")
        assert number >> 16 not in {0x0000, 0x0002, 0x0004, 0x0400, 0xFFFA}
        assert not number >> 16 & 1
        assert number >> 24 not in {0x50, 0x60} or number >> 16 == 0x5000 + 0x200


def test_nobody_no_day_and_no_address_is_in_the_allow_list():
    assert not {"PN", "AE", "UR", "DA", "DT", "TM", "AS", "UN"} & set(allowed().values())


TELLING = re.compile(
    r"Serial|Lot|Barcode|Accession|Physician|Operator(?!s)|Performer|Institution|Department|Facility|Address|Telephone"
    r"|Country|Person|Owner|Comment|Birth|Ethnic|Religio|Occupation|Insurance|Issuer|Admission|Visit|Signature|URL|URI"
)


def test_no_attribute_of_the_allow_list_is_named_after_somebody_or_some_place():
    # Ophthalmology has a comment that is a code of a list.
    kept = {keyword_for_tag(number) for number in allowed()} - {"CalculationCommentSequence", "CalculationCommentType"}
    assert sorted(keyword for keyword in kept if TELLING.search(keyword)) == []


def test_binary_values_that_stay_are_pixels_tables_coordinates_and_waveforms():
    kept = {keyword_for_tag(number) for number, vr in allowed().items() if vr in {"OB", "OW", "OF", "OD", "OL", "OV"}}
    assert {"PixelData", "FloatPixelData", "WaveformData", "SpectroscopyData", "PointCoordinatesData"} <= kept
    assert (
        not {"ICCProfile", "EncapsulatedDocument", "EncryptedContent", "CertificateOfSigner", "AudioSampleData"} & kept
    )
    shape = r"Data|Value|List|Coordinates|Points|Directions|Outline|Map|Angle"
    assert [keyword for keyword in kept if not re.search(shape, keyword)] == []


def test_terms_are_proper_coded_strings():
    assert all(re.fullmatch(r"[A-Z0-9_ /+.-]{1,16}", term) for term in terms())
    assert {"ORIGINAL", "PRIMARY", "AXIAL", "MOSAIC", "HFS", "MONOCHROME2", "HELICAL MODE", "PNAME"} <= terms()


def test_vocabulary_is_of_words_in_lower_case():
    assert all(re.fullmatch(r"[^\W_]+", word) and word == word.casefold() for word in vocabulary())
    assert not [word for word in vocabulary() if word.isdecimal()]
    assert len(vocabulary()) > 2500


@pytest.mark.parametrize("names", [SURNAMES, GIVEN_NAMES], ids=["surnames", "given names"])
def test_frequent_names_are_no_words_of_imaging(names):
    cleaner = Cleaner(vocabulary(), terms())
    assert [name for name in names.split() if name in vocabulary() or name.upper() in terms()] == []
    assert cleaner.text(f"CT chest {names}") == "CT chest"


@pytest.mark.parametrize(
    "text",
    [
        "AX T2 FLAIR FS",
        "t1_mprage_sag_p2_iso",
        "ep2d_diff_3scan_trace_p2_ADC",
        "Thorax 1.0 Br64",
        "ABD/PEL WITH IV CONT",
        "R MLO Tomosynthesis",
        "GTV_Primary",
        "lung_upper_lobe_left",
        "IRM cérébrale sans injection",
        "Schädel nativ",
        "TC ABDOMEN Y PELVIS CON CONTRASTE",
        "PSF+TOF 3i21s",
        "SOMATOM Force",
        "syngo MR XA30",
    ],
)
def test_what_scanners_write_stays(text):
    assert Cleaner(vocabulary(), terms()).text(text) == text


def test_safe_private_values_are_numbers_and_coded_strings():
    for creator, block in safe_private().items():
        assert creator == creator.strip()
        for place, vr in block.items():
            assert place >> 8 & 1, creator
            assert vr in NUMBERS | {"CS"}


@pytest.mark.parametrize(
    ("creator", "group", "low", "vr"),
    [
        ("SIEMENS MR HEADER", 0x0019, 0x0C, "IS"),
        ("SIEMENS MR HEADER", 0x0019, 0x0E, "FD"),
        ("GEMS_PARM_01", 0x0043, 0x39, "IS"),
        ("GEMS_ACQU_01", 0x0019, 0xBB, "DS"),
        ("Philips Imaging DD 001", 0x2001, 0x03, "FL"),
        ("Philips MR Imaging DD 001", 0x2005, 0x0E, "FL"),
        ("TOSHIBA_MEC_MR3", 0x700D, 0x00, "DS"),
        ("MMCPrivate", 0x0029, 0x30, "FD"),
        ("Image Private Header", 0x0065, 0x09, "FD"),
    ],
)
def test_what_diffusion_and_scaling_need_is_safe(creator, group, low, vr):
    assert safe_private()[creator][group << 8 | low] == vr


def test_a_moment_in_a_makers_block_is_not_safe():
    assert 0x0009 << 8 | 0x3B not in safe_private()["GEMS_PETD_01"]  # when the tracer was given


@pytest.mark.parametrize("name", ["basic", "research-longitudinal", "training"])
def test_shipped_profiles_are_within_safe_harbor(name):
    profile = load_profile(name)
    assert name in shipped_profiles()
    assert profile.name == name
    assert not profile.accept_risk
    assert (profile.age_cap, profile.documents) == (89, "hold")


def action(profile, keyword):
    entry = rules_for(load_profile(profile)).entries.get(tag(keyword))
    return entry.action if entry else Action.DROP


@pytest.mark.parametrize(
    ("keyword", "basic", "training", "research"),
    [
        ("PatientName", Action.PSEUDONYM, Action.PSEUDONYM, Action.PSEUDONYM),
        ("StudyDate", Action.EMPTY, Action.SHIFT, Action.SHIFT),
        ("PatientBirthDate", Action.EMPTY, Action.EMPTY, Action.EMPTY),
        ("PatientAge", Action.DROP, Action.CAP, Action.CAP),
        ("PatientSex", Action.EMPTY, Action.KEEP, Action.KEEP),
        ("AcquisitionContextSequence", Action.EMPTY, Action.DESCEND, Action.DESCEND),
        ("EthnicGroup", Action.DROP, Action.DROP, Action.DROP),
        ("SmokingStatus", Action.DROP, Action.DROP, Action.KEEP),
        ("PatientAddress", Action.DROP, Action.DROP, Action.ZIP3),
        ("SeriesDescription", Action.DROP, Action.CLEAN, Action.CLEAN),
        ("ContentSequence", Action.DESCEND, Action.DESCEND, Action.DESCEND),
        ("SeriesInstanceUID", Action.REMAP, Action.REMAP, Action.REMAP),
        ("DeviceSerialNumber", Action.DUMMY, Action.DUMMY, Action.DUMMY),
        ("StationName", Action.DUMMY, Action.DUMMY, Action.DUMMY),
        ("InstitutionName", Action.DUMMY, Action.DUMMY, Action.DUMMY),
        ("ManufacturerModelName", Action.CLEAN, Action.CLEAN, Action.CLEAN),
        ("AccessoryCode", Action.DROP, Action.DROP, Action.DROP),
        ("SliceThickness", Action.KEEP, Action.KEEP, Action.KEEP),
    ],
)
def test_profiles_do_what_the_documentation_says(keyword, basic, training, research):
    assert action("basic", keyword) is basic
    assert action("training", keyword) is training
    assert action("research-longitudinal", keyword) is research


def own(tmp_path, text, name="own.toml"):
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def test_a_profile_of_ones_own_inherits_but_not_the_name_and_not_the_risk(tmp_path):
    base = own(tmp_path, 'based_on = "training"\nname = "a"\naccept_risk = true\nvocabulary = ["CovidNet"]\n', "a.toml")
    got = load_profile(own(tmp_path, f'based_on = "{base}"\nname = "b"\ntimes = "shift"\n'))
    assert got.options == load_profile("training").options
    assert (got.name, got.times, got.vocabulary, got.accept_risk) == ("b", "shift", ("covidnet",), False)
    with pytest.raises(ConfigError, match="name"):
        load_profile(own(tmp_path, f'based_on = "{base}"\n'))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "x"\noption = []', "did you mean options"),
        ('name = "x"\nremove = ["PatientNam"]', "did you mean PatientName"),
        ('name = "x"\noptions = ["clean-everything"]', "clean-descriptors"),
        ('name = "x"\nkeep = ["InstitutionName"]', "InstitutionName can identify a patient; write accept_risk"),
        ('name = "x"\nkeep = ["Manufacturer"]', "accept_risk"),
        ('name = "x"\ndocuments = "keep"', "accept_risk"),
        ('name = "x"\noptions = ["retain-full-dates"]', "accept_risk"),
        ('name = "x"\noptions = ["retain-device-identity"]', "accept_risk"),
        ('name = "x"\naccept_risk = true\noptions = ["retain-full-dates", "retain-modified-dates"]', "not both"),
        ('name = "x"\nage_cap = 90', "89"),
        ('name = "x"\nvocabulary = ["two words"]', "one word"),
        ('name = "training"', "taken"),
        ('name = "x/../y"', "name"),
        ('based_on = "trainin"\nname = "x"', "did you mean training"),
        ("name = ", "not valid TOML"),
        ("\udcff", "not valid TOML"),
    ],
)
def test_bad_profiles_are_refused_with_a_hint(tmp_path, text, said):
    path = tmp_path / "own.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError) as refusal:
        load_profile(str(path))
    assert said in str(refusal.value).replace("'", "")
    assert refusal.value.hint


def test_profiles_in_a_circle_and_endless_ones_are_refused(tmp_path):
    own(tmp_path, f'based_on = "{tmp_path / "b.toml"}"\n', "a.toml")
    with pytest.raises(ConfigError, match="circle"):
        load_profile(own(tmp_path, f'based_on = "{tmp_path / "a.toml"}"\n', "b.toml"))
    with pytest.raises(ConfigError, match="larger"):
        load_profile(own(tmp_path, "#" * (2 << 20)))


def test_method_codes_are_those_of_the_standard():
    meanings = {code: value[0] for codes in concepts["DCM"].values() for code, value in codes.items()}
    for code, meaning in OPTION_CODES.values():
        assert meanings[code] == meaning
    assert method_codes(load_profile("basic")) == (("113100", "Basic Application Confidentiality Profile"),)
    assert [code for code, _ in method_codes(load_profile("training"))] == [
        "113100", "113103", "113104", "113105", "113107", "113108", "113111"
    ]  # fmt: skip


def test_numbers_have_the_multiplicity_of_the_dictionary():
    entry = rules_for(load_profile("training")).entries
    assert dictionary_VM(tag("PixelSpacing")) == "2"
    assert (entry[tag("Rows")].most, entry[tag("PixelSpacing")].most) == (1, 2)
