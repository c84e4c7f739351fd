import pytest

from dpmed.core.errors import ConfigError, NoInputError
from dpmed.ingest.roster import read_roster


def roster(tmp_path, text, *, with_labels=True):
    path = tmp_path / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_roster(path, with_labels=with_labels)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("image,label\na.png,1\n", "no column `patient`"),
        ("image,patient,label\n", "no rows"),
        ("image,patient,label\na.png,,1\n", "line 2 of the label file has no patient"),
        ("image,patient,label\na.png,P,maybe\n", "a label other than 0 or 1"),
        ("image,patient,label,split\na.png,P,1,holdout\n", "a split other than"),
        ("image,patient,label\na.png,P,1\na.png,Q,1\n", "two patients or two labels"),
        ("image,patient,label\na.png,P,1\na.png,P,0\n", "two patients or two labels"),
        ("image,patient,split\na.png,P,train\nb.png,P,test\n", "two splits"),
        (b"\xff\xfe\x00", "not a CSV in UTF-8"),
    ],
)
def test_bad_label_files_are_refused_without_quoting_them(tmp_path, text, cause):
    with pytest.raises(ConfigError, match=cause) as refusal:
        roster(tmp_path, text)
    assert "maybe" not in refusal.value.message
    assert refusal.value.hint


def test_a_missing_label_file_is_no_input(tmp_path):
    with pytest.raises(NoInputError):
        read_roster(tmp_path / "none.csv", with_labels=True)


def test_other_columns_and_cases_of_letters_in_headings_are_ignored(tmp_path):
    found = roster(tmp_path, "\ufeffPatient, Image ,label,notes\nP,a.png,1,whatever\n").of_name("a.png")
    assert [(row.patient, row.label) for row in found] == [("P", 1)]


def test_a_name_is_found_by_path_by_tail_and_without_suffix(tmp_path):
    rows = roster(tmp_path, "image,patient\nx/a.png,P\nb.png,Q\nc,R\n")
    found = [rows.of_name(name)[0].patient for name in ("in/x/a.png", "deep/b.png", "c.nii.gz")]
    assert found == ["P", "Q", "R"]
    assert rows.of_name("y/a.png") == ()


def test_unused_rows_are_counted(tmp_path):
    rows = roster(tmp_path, "image,patient\na.png,P\nb.png,Q\n")
    rows.of_name("a.png")
    assert rows.unmatched == 1


def test_labels_of_no_concern_are_not_read(tmp_path):
    assert roster(tmp_path, "case,patient,label\na,P,glioma\n", with_labels=False).rows[0].label is None
