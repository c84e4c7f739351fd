"""DICOM that stays DICOM: what is not allowed goes at every depth, in every encoding; what stays is untouched."""

import io
import struct

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from dpmed.ingest.objects.exporter import scrubber
from dpmed.ingest.objects.values import Person
from dpmed.ingest.reasons import Reason, Refused
from dpmed.ingest.rules.profile import load_profile

PERSON = Person("p-0123456789ab", shift_days=100, shift_seconds=3600)
PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def ct(syntax=ExplicitVRLittleEndian) -> Dataset:
    """A small CT slice with a name, dates, a nested sequence and a private block."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = CTImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3.4.5"
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3.1", "1.2.3.2", "1.2.3.3"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.PatientName, data.PatientID, data.PatientBirthDate = "Brindlemoor^Tamsin", "QZ4417", "19310402"
    data.PatientSex, data.PatientAge = "F", "091Y"
    data.StudyDate, data.StudyTime, data.ContentTime = "20200311", "101112", "101500.25"
    data.AcquisitionDateTime = "20200311101112.5+0100"
    data.SeriesDescription = "Axial chest 5mm for Brindlemoor"
    data.Modality, data.BodyPartExamined = "CT", "CHEST"
    data.SliceThickness, data.RescaleSlope, data.RescaleIntercept = "5.0", "1", "-1024"
    reference = Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = CTImageStorage, "1.2.3.4.6"
    data.ReferencedImageSequence = Sequence([reference])
    data.Rows, data.Columns, data.SamplesPerPixel, data.PhotometricInterpretation = 4, 6, 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    big = syntax == ExplicitVRBigEndian
    data.PixelData = np.arange(24, dtype=">u2" if big else "<u2").tobytes()
    data["PixelData"].VR = "OW"
    return data


def saved(data: Dataset, path) -> bytes:
    data.save_as(path, enforce_file_format=True)
    return path.read_bytes()


def scrubbed(source, tmp_path, profile="training") -> Dataset:
    target = tmp_path / "out.dcm"
    scrubber(load_profile(profile), bytes(32)).scrub(source, target, PERSON)
    return pydicom.dcmread(target)


@pytest.fixture
def source(tmp_path):
    return tmp_path / "in.dcm"


@pytest.mark.parametrize("syntax", PLAIN)
def test_every_encoding_gives_the_same_object(source, tmp_path, syntax):
    saved(ct(), source)
    wanted = scrubbed(source, tmp_path)
    saved(ct(syntax), source)
    got = scrubbed(source, tmp_path)
    assert got.to_json_dict().keys() == wanted.to_json_dict().keys()
    assert {element.tag: element.value for element in got if element.keyword != "PixelData"} == {
        element.tag: element.value for element in wanted if element.keyword != "PixelData"
    }
    np.testing.assert_array_equal(got.pixel_array, np.arange(24).reshape(4, 6))


def test_what_identifies_goes_and_what_describes_stays(source, tmp_path):
    saved(ct(), source)
    got = scrubbed(source, tmp_path)
    assert (got.PatientName, got.PatientID) == (PERSON.pseudonym, PERSON.pseudonym)
    assert not got.PatientBirthDate
    assert (got.PatientSex, got.PatientAge) == ("F", "090Y")
    assert got.SeriesDescription.removesuffix(" for") == "Axial chest 5mm"
    assert (got.SliceThickness, list(got.ImageType), got.BodyPartExamined) == (
        5,
        ["ORIGINAL", "PRIMARY", "AXIAL"],
        "CHEST",
    )
    assert b"Brindlemoor" not in (tmp_path / "out.dcm").read_bytes()


def test_short_codes_stay_although_a_patient_is_called_so(source, tmp_path):
    data = ct()
    data.PatientName = "CT-31^Se Ri^^Mr"
    data.ScanningSequence, data.SeriesDescription = ["SE", "MR"], "Axial CT chest"
    saved(data, source)
    got = scrubbed(source, tmp_path)
    assert (got.Modality, list(got.ScanningSequence)) == ("CT", ["SE", "MR"])
    assert got.SeriesDescription == "Axial chest"


def test_dates_move_by_the_patients_shift_and_times_go(source, tmp_path):
    saved(ct(), source)
    got = scrubbed(source, tmp_path)
    assert got.StudyDate == "20191202"  # 11 March 2020 less 100 days
    assert got.AcquisitionDateTime == "20191202"
    assert got.StudyTime in {None, ""}
    assert got.LongitudinalTemporalInformationModified == "MODIFIED"


def test_times_move_around_the_clock_where_the_profile_keeps_them(source, tmp_path):
    saved(ct(), source)
    got = scrubbed(source, tmp_path, "research-longitudinal")
    assert (got.StudyTime, got.ContentTime) == ("111112", "111500.25")
    assert got.AcquisitionDateTime == "20191202111112.5"


def test_references_follow_and_registered_uids_stay(source, tmp_path):
    data = ct()
    data.ReferencedImageSequence[0].ReferencedSOPInstanceUID = data.SOPInstanceUID
    saved(data, source)
    got = scrubbed(source, tmp_path)
    assert got.ReferencedImageSequence[0].ReferencedSOPInstanceUID == got.SOPInstanceUID
    assert got.ReferencedImageSequence[0].ReferencedSOPClassUID == got.SOPClassUID == CTImageStorage
    assert got.SOPInstanceUID.startswith("2.25.")
    assert got.file_meta.MediaStorageSOPInstanceUID == got.SOPInstanceUID


def test_the_object_says_what_was_done_to_it(source, tmp_path):
    saved(ct(), source)
    got = scrubbed(source, tmp_path)
    assert got.PatientIdentityRemoved == "YES"
    assert "113100" in {item.CodeValue for item in got.DeidentificationMethodCodeSequence}
    assert "113107" in {item.CodeValue for item in got.DeidentificationMethodCodeSequence}


def test_unknown_attributes_go_whatever_their_representation(source, tmp_path):
    data = ct()
    for tag, vr, value in ((0x00080099, "LO", "Tamsin"), (0x0018FFFE, "US", 7), (0x01000011, "FD", 1.5)):
        data.add_new(tag, vr, value)
    data.add_new(0x00091001, "LO", "orphan of no creator")
    block = data.private_block(0x0011, "NOBODY KNOWS ME", create=True)
    block.add_new(0x01, "LO", "Tamsin")
    data.ReferencedImageSequence[0].add_new(0x00080099, "LO", "Tamsin")
    saved(data, source)
    got = scrubbed(source, tmp_path)
    tags = {element.tag for element in got.iterall()}
    assert not tags & {0x00080099, 0x0018FFFE, 0x01000011, 0x00091001}
    assert not any(tag.is_private for tag in tags)


def test_a_name_where_a_number_or_a_code_belongs_goes(source, tmp_path):
    data = ct()
    saved(data, source)
    content = source.read_bytes()
    for old, new in ((b"CS\x06\x00CHEST ", b"CS\x06\x00TAMSIN"), (b"DS\x04\x005.0 ", b"DS\x04\x00TAMS")):
        assert old in content
        content = content.replace(old, new)
    source.write_bytes(content)
    got = scrubbed(source, tmp_path)
    assert not got.get("BodyPartExamined")
    assert "SliceThickness" not in got
    assert b"TAMS" not in (tmp_path / "out.dcm").read_bytes()


def test_a_word_of_imaging_that_is_also_the_patients_name_goes(source, tmp_path):
    data = ct()
    data.PatientName = "Chest^Axial"
    data.SeriesDescription = "Axial chest 5mm"
    saved(data, source)
    got = scrubbed(source, tmp_path)
    assert got.SeriesDescription == "5mm"
    assert not got.get("BodyPartExamined")


def test_preamble_meta_trailing_bytes_and_spare_pixel_bits_go(source, tmp_path):
    data = ct()
    data.preamble = b"II*\0 Tamsin Brindlemoor ".ljust(128, b"\0")
    data.file_meta.SourceApplicationEntityTitle = "TAMSIN"
    data.file_meta.PrivateInformationCreatorUID, data.file_meta.PrivateInformation = "1.2.3", b"Tamsin"
    data.PixelData = (np.arange(24, dtype="<u2") | 0xA000).tobytes() + b"Tamsin after"
    source.write_bytes(saved(data, source) + b"Tamsin at the very end")
    got = scrubbed(source, tmp_path)
    content = (tmp_path / "out.dcm").read_bytes()
    assert b"Tamsin" not in content and b"TAMSIN" not in content
    assert content[:128] == bytes(128)
    np.testing.assert_array_equal(np.frombuffer(got.PixelData, "<u2"), np.arange(24))


def test_text_in_compressed_pixels_goes_and_the_picture_stays(source, tmp_path):
    data = ct(RLELossless)
    data.PixelData = b""
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.PixelData = np.arange(24, dtype="<u2").tobytes()
    data.compress(RLELossless)
    frame = bytearray(data.PixelData)
    place = frame.index(struct.pack("<L", 2))  # the count of segments, which begins the header of 64 bytes
    frame[place + 40 : place + 46] = b"Tamsin"
    data.PixelData = bytes(frame)
    saved(data, source)
    got = scrubbed(source, tmp_path)
    assert b"Tamsin" not in (tmp_path / "out.dcm").read_bytes()
    np.testing.assert_array_equal(got.pixel_array, np.arange(24).reshape(4, 6))


def test_pixels_shorter_than_the_header_says_are_refused(source, tmp_path):
    data = ct()
    data.Rows = 400
    saved(data, source)
    with pytest.raises(Refused) as refused:
        scrubbed(source, tmp_path)
    assert refused.value.reason is Reason.TRUNCATED
    assert not list(tmp_path.glob("*out*"))


def test_a_deflated_bomb_is_refused(source, tmp_path, monkeypatch):
    import zlib

    from dpmed.ingest import limits

    monkeypatch.setattr(limits, "MAX_INFLATED_BYTES", 2**20)
    content = saved(ct(DeflatedExplicitVRLittleEndian), source)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    start = content.index(b"\x02\x00\x10\x00") + 8 + len(DeflatedExplicitVRLittleEndian) + 1
    bomb = packer.compress(bytes(2**24)) + packer.flush()
    source.write_bytes(content[: start - start % 2] + bomb)
    with pytest.raises(Refused):
        scrubbed(source, tmp_path)


def test_sequences_nested_past_the_bound_are_refused(source, tmp_path):
    inner = Dataset()
    for _ in range(60):
        outer = Dataset()
        outer.ReferencedImageSequence = Sequence([inner])
        inner = outer
    data = ct()
    data.ReferencedImageSequence = Sequence([inner])
    saved(data, source)
    with pytest.raises(Refused) as refused:
        scrubbed(source, tmp_path)
    assert refused.value.reason is Reason.TOO_DEEP


def test_a_document_inside_is_held_back(source, tmp_path):
    data = ct()
    data.EncapsulatedDocument = b"%PDF-1.4 Tamsin "
    saved(data, source)
    with pytest.raises(Refused) as refused:
        scrubbed(source, tmp_path)
    assert refused.value.reason is Reason.DOCUMENT


@settings(max_examples=60)
@given(st.binary(max_size=400), st.integers(0, 2000))
def test_damage_never_leaks_or_crashes(tmp_path_factory, junk, place):
    folder = tmp_path_factory.mktemp("damage")
    path = folder / "in.dcm"
    content = saved(ct(), path)
    place %= len(content)
    path.write_bytes(content[:place] + junk + content[place + len(junk) // 2 :])
    target = folder / "out.dcm"
    try:
        scrubber(load_profile("training"), bytes(32)).scrub(path, target, PERSON)
    except Refused:
        assert not target.exists()
    else:
        assert b"Brindlemoor" not in target.read_bytes()
    assert not list(folder.glob(".tmp*"))


def test_safe_private_attributes_stay_under_their_creator(source, tmp_path):
    data = ct()
    block = data.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", "1000")
    block.add_new(0x99, "LO", "Tamsin")
    saved(data, source)
    got = scrubbed(source, tmp_path)
    kept = got.private_block(0x0019, "SIEMENS MR HEADER")
    assert kept[0x0C].value == 1000
    assert 0x99 not in kept
    assert not any(element.tag.is_private for element in scrubbed(source, tmp_path, "basic").iterall())


def test_the_basic_profile_keeps_no_date_and_no_description(source, tmp_path):
    saved(ct(), source)
    got = scrubbed(source, tmp_path, "basic")
    assert not got.get("StudyDate") and not got.get("SeriesDescription")
    assert got.LongitudinalTemporalInformationModified == "REMOVED"
    assert b"2020" not in (tmp_path / "out.dcm").read_bytes()


def test_a_file_without_meta_is_read_for_what_it_is(source, tmp_path):
    buffer = io.BytesIO()
    data = ct(ImplicitVRLittleEndian)
    del data.file_meta
    data.save_as(buffer, implicit_vr=True, little_endian=True, enforce_file_format=False)
    content = buffer.getvalue()
    assert content[128:132] != b"DICM"
    source.write_bytes(content)
    got = scrubbed(source, tmp_path)
    assert got.PatientID == PERSON.pseudonym
    np.testing.assert_array_equal(got.pixel_array, np.arange(24).reshape(4, 6))


def test_a_profile_of_ones_own_keeps_and_removes(source, tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(
        'based_on = "training"\nname = "own"\nkeep = ["InstitutionName"]\nremove = ["PatientSex"]\n'
        'accept_risk = true\nvocabulary = ["covidnet"]\n'
    )
    data = ct()
    data.InstitutionName, data.SeriesDescription = "Larkmoor Infirmary", "covidnet larkmoor chest"
    saved(data, source)
    got = scrubbed(source, tmp_path, str(own))
    assert got.InstitutionName == "Larkmoor Infirmary"
    assert "PatientSex" not in got
    assert got.SeriesDescription == "covidnet chest"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("AX T2 FLAIR 5mm", "AX T2 FLAIR 5mm"),
        ("chest 17 05 1963", "chest"),
        ("head 24/12", "head"),
        ("12. March 1961 brain", "brain"),
        ("brain F/97", "brain"),
        ("brain m93 F18", "brain F18"),
        ("brain 102 year", "brain"),
        ("chest 100 kV", "chest 100 kV"),
        ("head MRN 7300148 tel 555 123 456", "head"),
        ("", ""),
    ],
)
def test_numbers_stay_in_texts_only_where_they_measure(text, kept):
    from dpmed.ingest.rules.table import terms, vocabulary
    from dpmed.ingest.rules.text import Cleaner

    assert Cleaner(vocabulary(), terms()).text(text) == kept


def test_codes_stay_in_the_form_of_their_scheme(source, tmp_path):
    data = ct()
    data.ProcedureCodeSequence = Sequence()
    for scheme, value in (("SCT", "39607008"), ("SCT", "73001481"), ("DCM", "113100"), ("99LOCAL", "CTCHEST")):
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, "Chest"
        data.ProcedureCodeSequence.append(code)
    saved(data, source)
    got = scrubbed(source, tmp_path)
    assert [code.CodeValue for code in got.ProcedureCodeSequence] == ["39607008", "REMOVED", "113100", "REMOVED"]


@pytest.mark.parametrize(
    ("sop_class", "modality"),
    [("1.2.840.10008.5.1.4.1.1.9.4.1", "AU"), ("1.2.840.10008.5.1.4.1.1.9.4.2", ""), (CTImageStorage, "AU")],
)
def test_a_voice_is_held_back(source, tmp_path, sop_class, modality):
    data = ct()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = sop_class
    data.Modality = modality
    saved(data, source)
    with pytest.raises(Refused) as refused:
        scrubbed(source, tmp_path)
    assert refused.value.reason is Reason.AUDIO


def test_a_palette_is_as_long_as_its_descriptor_says(source, tmp_path):
    data = ct()
    data.add_new(0x00281101, "US", [4, 0, 16])
    data.add_new(0x00281201, "OW", np.arange(4, dtype="<u2").tobytes() + b"Tamsin Brindlemoor")
    saved(data, source)
    assert scrubbed(source, tmp_path)[0x00281201].value == np.arange(4, dtype="<u2").tobytes()
