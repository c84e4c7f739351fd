import datetime
import hashlib
import hmac
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmed.core.errors import ConfigError, MismatchError
from dpmed.ingest.pseudonyms import Pseudonyms, new_key, read_key, write_key

KEY = bytes(range(32))


def test_a_patient_keeps_one_name_under_one_key():
    assert Pseudonyms(KEY).patient("HOSP-1") == Pseudonyms(KEY).patient("HOSP-1")
    assert Pseudonyms(KEY).patient("HOSP-1") != Pseudonyms(bytes(32)).patient("HOSP-1")


def test_a_pseudonym_is_hmac_sha256_under_a_subkey_of_its_purpose():
    subkey = hmac.new(KEY, b"dpmed/1/patient", hashlib.sha256).digest()
    expected = hmac.new(subkey, b"HOSP-1", hashlib.sha256).hexdigest()[:12]
    assert Pseudonyms(KEY).patient("HOSP-1") == f"p-{expected}"


def test_purposes_do_not_share_digests():
    names = Pseudonyms(KEY)
    digests = {names.patient("x")[2:], names.case("x", "")[2:], names.file("x")[2:], names.fingerprint("x")[:12]}
    assert len(digests) == 4


@given(st.text(), st.text(), st.text(), st.text())
def test_case_names_do_not_confuse_patient_and_scan(one, two, three, four):
    names = Pseudonyms(KEY)
    if (one, two) != (three, four) and not any("\x1f" in text for text in (one, two, three, four)):
        assert names.case(one, two) != names.case(three, four)


def test_two_patients_under_one_name_are_refused(monkeypatch):
    names = Pseudonyms(KEY)
    monkeypatch.setattr(Pseudonyms, "_digest", lambda self, purpose, text: "0" * 64)
    names.patient("one")
    with pytest.raises(MismatchError, match="same pseudonym"):
        names.patient("two")


@given(
    st.text(), st.dates(min_value=datetime.date(1900, 1, 1), max_value=datetime.date(2100, 1, 1)), st.integers(0, 999)
)
def test_shifted_dates_keep_intervals_within_a_patient(identity, day, later):
    names = Pseudonyms(KEY)
    after = day + datetime.timedelta(days=later)
    assert (names.shifted(after, identity) - names.shifted(day, identity)).days == later
    assert 1 <= (day - names.shifted(day, identity)).days <= 3650


def test_patients_have_shifts_of_their_own():
    names = Pseudonyms(KEY)
    assert len({names.shift_days(str(patient)) for patient in range(50)}) > 45


def test_a_key_file_is_readable_by_its_owner_alone(tmp_path):
    path = tmp_path / "deep" / "x.key"
    key = new_key()
    write_key(path, key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path, dataset=tmp_path / "data") == key


def test_an_existing_key_is_never_replaced(tmp_path):
    path = tmp_path / "x.key"
    write_key(path, new_key())
    with pytest.raises(FileExistsError):
        write_key(path, new_key())


def test_a_key_inside_the_dataset_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="inside the dataset"):
        read_key(tmp_path / "data" / "x.key", dataset=tmp_path / "data")


def test_a_key_inside_the_dataset_by_a_link_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(ConfigError, match="inside the dataset"):
        read_key(tmp_path / "link" / "x.key", dataset=tmp_path / "data")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path, mode):
    path = tmp_path / "x.key"
    write_key(path, KEY)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="other users"):
        read_key(path, dataset=tmp_path / "data")


@pytest.mark.parametrize("content", ["", "abcd", "zz" * 32, "ab" * 33])
def test_a_file_that_is_no_key_is_refused(tmp_path, content):
    path = tmp_path / "x.key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="does not hold a key"):
        read_key(path, dataset=tmp_path / "data")
