import pydicom
import pytest
from pydicom.sequence import Sequence

from dpmed.ingest import limits
from dpmed.ingest.allowed import KEPT
from dpmed.ingest.identifiers import class_of, findings, table
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.rules.table import edition


def test_the_whole_basic_profile_is_there():
    # Table E.1-1 of 2026c: 652 single attributes; three repeating groups and the private attributes are ranges.
    assert edition() == "2026c"
    assert len(table()) == 652
    assert class_of(0x50000010) == class_of(0x60023000) == class_of(0x60004000) == "embedded data"


@pytest.mark.parametrize(
    ("keyword", "name"),
    [
        ("PatientName", "names"),
        ("PatientBirthDate", "dates"),
        ("StudyInstanceUID", "uids"),
        ("PatientAddress", "addresses"),
        ("PatientTelephoneNumbers", "contacts"),
        ("InstitutionName", "institutions"),
        ("StationName", "devices"),
        ("AccessionNumber", "ids"),
        ("PatientSex", "demographics"),
        ("ImageComments", "free text"),
    ],
)
def test_attributes_fall_into_the_class_a_reader_expects(keyword, name):
    assert class_of(pydicom.datadict.tag_for_keyword(keyword)) == name


def test_nothing_kept_in_the_output_is_an_identifier():
    assert [keyword for keyword in KEPT if class_of(pydicom.datadict.tag_for_keyword(keyword))] == []


def test_unknown_attributes_count_as_such():
    assert class_of(0x00080F0F) == "unknown attributes"
    assert class_of(0x00091001) == "private tags"


def test_identifiers_are_counted_at_every_depth():
    inner, middle, outer = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    inner.PatientName = "Deep^Name"
    block = inner.private_block(0x0009, "INVENTED", create=True)
    block.add_new(1, "LO", "private words")
    middle.RequestAttributesSequence = Sequence([inner])
    outer.DerivationCodeSequence = Sequence([middle])  # no identifier by itself
    found = findings(outer, harvest=True)
    assert found.removed == {"names": 1, "private tags": 2, "structured content": 1}
    assert {b"Deep^Name", b"Deep", b"private words"} <= found.tokens


def test_empty_values_are_not_counted():
    header = pydicom.Dataset()
    header.PatientName, header.OtherPatientIDsSequence = "", Sequence([])
    assert not findings(header).removed


def test_sequences_beyond_the_limit_are_refused():
    header = pydicom.Dataset()
    for _ in range(limits.MAX_SEQUENCE_DEPTH + 2):
        outer = pydicom.Dataset()
        outer.ContentSequence = Sequence([header])
        header = outer
    with pytest.raises(Refused) as refusal:
        findings(header)
    assert refusal.value.reason is Reason.TOO_DEEP
