"""Label schemes are declared, and mean what their source says."""

import pytest

from dpmed.core.errors import ConfigError
from dpmed.core.labels import SCHEMES, label_scheme


@pytest.mark.parametrize(
    ("name", "labels"), [("brats", {0, 1, 2, 4}), ("brats2013", {0, 1, 2, 3, 4}), ("binary", {0, 1})]
)
def test_a_scheme_knows_every_label_its_masks_may_hold(name, labels):
    assert label_scheme(name).labels == labels


@pytest.mark.parametrize("name", ["brats", "brats2013"])
def test_the_enhancing_tumour_is_part_of_the_core_and_the_core_of_the_whole(name):
    regions = SCHEMES[name].regions
    assert set(regions["enhancing_tumour"]) < set(regions["tumour_core"]) < set(regions["whole_tumour"])


def test_edema_is_whole_tumour_alone():
    assert [name for name, labels in SCHEMES["brats"].regions.items() if 2 in labels] == ["whole_tumour"]


def test_a_scheme_can_come_from_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[regions]\nlesion = [1, 3]\n')
    scheme = label_scheme(str(path))
    assert (scheme.name, scheme.labels) == ("mine", {0, 1, 3})


@pytest.mark.parametrize(
    "content",
    [
        b'name = "x"',
        b'name = "x"\n[regions]\n',
        b'name = "x"\n[regions]\na = []\n',
        b'name = "x"\n[regions]\na = ["one"]\n',
        b'name = "x"\nother = 1\n[regions]\na = [1]\n',
        b"= no toml",
        b"\xff",
    ],
)
def test_a_wrong_scheme_file_is_refused_with_a_hint(tmp_path, content):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refusal:
        label_scheme(str(path))
    assert refusal.value.hint


def test_a_name_that_is_no_scheme_and_no_file_is_refused_with_the_known_names():
    with pytest.raises(ConfigError) as refusal:
        label_scheme("brats2021")
    assert "brats|brats2013|binary" in refusal.value.hint
