import hashlib
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmed.ingest.needles import Needles

WORD = b"Quillfeather"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'"name": "QUILLFEATHER"', 1),
        (b"Quillfeather^Ottoline", 1),
        (b"images/quillfeather.png", 1),
        (b"quillfeathers", 0),
        (b"x1quillfeather", 0),
        (b"quillfeather quillfeather", 2),
        (b"quillfeathe", 0),
        (b"", 0),
    ],
)
def test_words_count_whole_in_any_case(text, found):
    assert Needles([WORD]).in_text(text) == found


# A record number of six digits stands by chance inside decimals and digests; those places are no leak, others are.
@pytest.mark.parametrize(
    "place", ["703125", "MRN 703125.", "703125,", '"703125"', "a/703125.dcm", "703125.0", "1.2.703125.4"]
)
def test_a_number_is_found_where_it_stands_alone(place):
    assert Needles([b"703125"]).in_text(place.encode()) == 1


@pytest.mark.parametrize(
    "place", ["0.703125", "-12.703125", "703125.25", "1703125", "703125mm", "7.03125", "4a703125f0"]
)
def test_a_number_inside_a_decimal_or_a_longer_one_is_no_leak(place):
    assert Needles([b"703125"]).in_text(place.encode()) == 0


def test_a_manifest_full_of_digests_and_spacings_holds_no_number_by_chance():
    digests = [hashlib.sha256(bytes([n])).hexdigest() for n in range(200)]
    cases = [{"sha256": digest, "spacing_mm": [0.703125, 2.5], "case": f"c-{digest[:12]}"} for digest in digests]
    inside = {digest[place : place + 6] for digest in digests for place in range(58)}
    numbers = [six.encode() for six in inside if six.isdigit()]
    assert len(numbers) > 100
    assert Needles([*numbers, b"703125"]).in_text(json.dumps(cases).encode()) == 0


def test_a_planted_number_in_the_same_manifest_is_found():
    assert Needles([b"703125"]).in_text(json.dumps({"spacing_mm": [0.703125], "of": "703125"}).encode()) == 1


@pytest.mark.parametrize(
    "token",
    [
        b"1024",
        b"00000000",
        b"abc",
        b"0.000000",
        b"389.750000",
        b"1.0\\0.0\\0.0",
        b"12-34",
        b"1.2.840.10008.5.1.4.1.1.2",
    ],
)
def test_what_identifies_nobody_is_not_searched(token):
    assert len(Needles([token])) == 0


@pytest.mark.parametrize(
    "token", [b"19420713", b"101502.250000", b"1.2.826.0.1.77", b"ACC5512398", b"555-0142", b"0.5\\Miller"]
)
def test_what_can_identify_is_searched(token):
    assert Needles([token]).in_text(b" " + token + b" ") >= 1


def test_own_words_are_left_out_only_where_they_are_whole_words():
    needles = Needles([b"patient", b"Mann", b"Ottoline"], known=b"this patient, in this manner")
    assert needles.in_text(b"patient Mann Ottoline") == 2
    assert Needles([b"patient", b"Mann"]).without(b"patient").in_text(b"patient Mann") == 1


@pytest.mark.parametrize("name", ["Müller", "山田太郎", "O'Brien & Sons", 'Anna "Quill"'])
def test_names_are_found_as_json_and_html_write_them(name):
    import html

    needles = Needles([name.encode()])
    assert needles.in_text(json.dumps({"x": name}).encode()) == 1
    assert needles.in_text(f"<td>{html.escape(name)}</td>".encode()) == 1
    assert needles.in_text(f"<td>{name}</td>".encode()) >= 1


def test_a_name_in_latin_1_is_found_in_utf_8():
    assert Needles(["Müller".encode("latin-1")]).in_text("Müller".encode()) == 1


@pytest.mark.parametrize("offset", range(17))
def test_strings_are_found_at_every_offset_of_binary_data(offset):
    needles = Needles([b"HOSP-778812", b"19420713"])
    assert needles.in_voxels(bytes(offset) + b"xxhosp-778812yy" + bytes(7)) == 1
    assert needles.in_voxels(bytes(offset) + b"19420713" + bytes(7)) == 1
    assert needles.in_voxels(bytes(500)) == 0


# Grey values of 48 to 57 are the codes of digits: a dark, smooth piece of a picture spells numbers.
def test_digits_among_like_grey_values_are_a_picture():
    smooth = bytes([46, 47, 49, 57, 52, 50, 48, 55, 49, 51, 54, 58, 60])
    assert b"19420713" in smooth
    assert Needles([b"19420713"]).in_voxels(smooth) == 0
    assert Needles([b"19420713"]).in_voxels(b"\0\0" + b"19420713" + b"\0\0") == 1
    assert Needles([b"19420713"]).in_voxels(b"born 19420713^") == 1


def test_long_numbers_and_letters_count_among_grey_values_too():
    assert Needles([b"194207131142"]).in_voxels(b"::194207131142::") == 1
    assert Needles([b"A1942071"]).in_voxels(b"::A1942071::") == 1


def test_noise_spells_no_birthday():
    rng = np.random.default_rng(7)
    days = [f"19{y:02d}{m:02d}{d:02d}".encode() for y in range(20, 99) for m in range(1, 13) for d in range(1, 29)]
    picture = (53 + np.cumsum(rng.integers(-2, 3, (256, 4096)), axis=1) % 9 - 4).astype(np.uint8)
    assert Needles(days).in_voxels(picture.tobytes()) == 0


@given(st.binary(max_size=300), st.integers(1, 40))
def test_nothing_is_missed_or_counted_twice_at_the_seams(noise, size):
    needles = Needles([b"HOSP-778812", b"Ottoline", b"19420713", b"194207131142"])
    content = noise + b"HOSP-778812" + noise[::-1] + b"ottoline\0194207131142\00019420713\0" + noise
    assert needles.in_stream(io.BytesIO(content).read, size) == (needles.in_voxels(content), len(content))


tokens = st.lists(st.text("abAB12-^", min_size=4, max_size=10).map(str.encode), min_size=1, max_size=6)


@given(tokens, st.text("abAB12-^. ", max_size=60).map(str.encode))
def test_the_search_agrees_with_the_slow_one(several, content):
    needles = Needles(several)
    words = {token.lower() for token in several if Needles([token]).in_text(b" " + token + b" ")}
    slow = sum(
        _alone(content.lower(), place, word)
        for word in words
        for place in range(len(content))
        if content.lower().startswith(word, place)
    )
    if b"." not in content:
        assert needles.in_text(content) == slow


def _alone(content, place, word):
    before, after = content[max(place - 1, 0) : place], content[place + len(word) : place + len(word) + 1]
    return not before.isalnum() and not after.isalnum()
