import json
import stat

import pytest

from dpmed.core.errors import ConfigError, MismatchError, NoInputError
from dpmed.ingest import crosswalk
from dpmed.ingest.crosswalk import (
    FROM_ENVIRONMENT,
    Entry,
    Lock,
    entries_of,
    passphrase_from,
    read_crosswalk,
    write_crosswalk,
)
from dpmed.ingest.pseudonyms import SEPARATOR, Pseudonyms

WORDS = "correct horse battery staple"
TABLE = (
    Entry(pseudonym="p-0123456789ab", patient="HOSP-778812", issuer="Larkspur", shift_days=411),
    Entry(pseudonym="p-ba9876543210", patient="Quillfeather 7", shift_days=None),
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(crosswalk, "SCRYPT_COST", 2**14)


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "table.crosswalk"
    write_crosswalk(path, TABLE, Lock.passphrase(WORDS), dataset=tmp_path / "out")
    return path


def test_what_was_written_is_read_back(written):
    assert read_crosswalk(written, Lock.passphrase(WORDS)) == TABLE


def test_nothing_of_it_can_be_read_without_the_passphrase(written):
    content = written.read_bytes()
    assert not any(word in content for word in (b"HOSP", b"Larkspur", b"Quill", b"411", b"p-0123", WORDS.encode()))
    with pytest.raises(MismatchError, match="wrong passphrase"):
        read_crosswalk(written, Lock.passphrase(WORDS + "."))


def test_only_its_owner_may_read_the_file(written):
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert [path.name for path in written.parent.iterdir()] == [written.name]


@pytest.mark.parametrize("place", ["salt", "nonce", "header", "table", "tag", "cut"])
def test_any_change_is_noticed(written, place):
    content = bytearray(written.read_bytes())
    line = content.index(b"\n")
    if place == "cut":
        del content[-1]
    elif place == "header":
        content = content.replace(b'"scrypt_n":16384', b'"scrypt_n":32768')
    else:
        at = {"salt": content.index(b'"salt":"') + 9, "nonce": content.index(b'"nonce":"') + 10}
        at |= {"table": line + 100, "tag": len(content) - 1}
        content[at[place]] = ord("0") if content[at[place]] != ord("0") else ord("1")
    written.write_bytes(content)
    with pytest.raises(MismatchError, match="was changed"):
        read_crosswalk(written, Lock.passphrase(WORDS))


def test_a_hostile_header_cannot_ask_for_all_memory(written):
    written.write_bytes(written.read_bytes().replace(b'"scrypt_n":16384', b'"scrypt_n":1073741824'))
    with pytest.raises(MismatchError, match="scrypt_n"):
        read_crosswalk(written, Lock.passphrase(WORDS))


@pytest.mark.parametrize("content", [b"", b"hello", b"{}\n" + bytes(64), b"\n" * 50, b"\xff\n" + bytes(64)])
def test_other_files_are_no_crosswalk(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(MismatchError):
        read_crosswalk(tmp_path / "x", Lock.passphrase(WORDS))
    with pytest.raises(NoInputError):
        read_crosswalk(tmp_path / "y", Lock.passphrase(WORDS))


def test_two_tables_of_the_same_patients_have_nothing_in_common(written, tmp_path):
    again = tmp_path / "again"
    write_crosswalk(again, TABLE, Lock.passphrase(WORDS), dataset=tmp_path / "out")
    one, other = (json.loads(path.read_bytes().partition(b"\n")[0]) for path in (written, again))
    assert one["salt"] != other["salt"]
    assert one["nonce"] != other["nonce"]


def test_the_size_tells_the_number_of_patients_only_roughly(written, tmp_path):
    fewer = tmp_path / "fewer"
    write_crosswalk(fewer, TABLE[:1], Lock.passphrase(WORDS), dataset=tmp_path / "out")
    assert fewer.stat().st_size == written.stat().st_size


@pytest.mark.parametrize("place", ["out/table", "out", "out/images/table", "link/table"])
def test_never_inside_the_dataset(tmp_path, place):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with pytest.raises(ConfigError, match="inside the dataset"):
        write_crosswalk(tmp_path / place, TABLE, Lock.passphrase(WORDS), dataset=tmp_path / "out")


def test_an_earlier_table_is_never_replaced(written, tmp_path):
    before = written.read_bytes()
    with pytest.raises(ConfigError, match="already"):
        write_crosswalk(written, TABLE, Lock.passphrase(WORDS), dataset=tmp_path / "out")
    assert written.read_bytes() == before


def test_a_key_file_opens_it_too_and_a_passphrase_does_not(tmp_path, key):
    path = tmp_path / "table"
    lock = Lock.key_file(key, dataset=tmp_path / "out")
    write_crosswalk(path, TABLE, lock, dataset=tmp_path / "out")
    assert read_crosswalk(path, lock) == TABLE
    with pytest.raises(ConfigError, match="opens with a key file"):
        read_crosswalk(path, Lock.passphrase(WORDS))
    with pytest.raises(NoInputError):
        Lock.key_file(tmp_path / "none", dataset=tmp_path / "out")


def test_a_short_passphrase_is_refused_without_being_quoted():
    with pytest.raises(ConfigError, match="shorter than 12") as stop:
        Lock.passphrase("kestrel")
    assert "kestrel" not in f"{stop.value} {stop.value.hint}"


def test_the_passphrase_comes_from_the_environment_or_a_prompt():
    def never():
        raise AssertionError("nobody is to be asked")

    assert passphrase_from({FROM_ENVIRONMENT: WORDS}, never) == Lock.passphrase(WORDS)
    assert passphrase_from({}, lambda: WORDS) == Lock.passphrase(WORDS)


def test_neither_lock_nor_entry_shows_what_it_holds():
    shown = f"{Lock.passphrase(WORDS)!r} {TABLE!r}"
    assert not any(word in shown for word in ("horse", "HOSP", "Larkspur", "411"))


def test_entries_hold_patient_issuer_and_shift():
    pseudonyms = Pseudonyms(b"k" * 32)
    identity = f"Larkspur{SEPARATOR}77 1"
    (entry,) = entries_of({pseudonyms.patient(identity): identity}, pseudonyms, dated=True)
    assert (entry.patient, entry.issuer) == ("77 1", "Larkspur")
    assert entry.shift_days == pseudonyms.shift_days(identity)
    (undated,) = entries_of({pseudonyms.patient("9"): "9"}, pseudonyms, dated=False)
    assert (undated.patient, undated.issuer, undated.shift_days) == ("9", "", None)
