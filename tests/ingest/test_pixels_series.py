"""Text in a series: found wherever it stands, and only there; nothing leaves the machine while looking."""

import socket

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from dpmed.ingest.pixels.series import search
from dpmed.ingest.pixels.text import TextFinder, matches

NAME = "QUILLFEATHER^OTTOLINE"


@pytest.fixture(scope="module")
def finder():
    pytest.importorskip("rapidocr")
    pytest.importorskip("onnxruntime")
    return TextFinder()


@pytest.fixture(scope="module")
def slices():
    """Sixteen slices of a generated chest, stored values of 12 bits."""
    from dpmed.samples.chest import draw_chest, render_chest
    from dpmed.samples.shapes import Grid

    rng = np.random.default_rng(3)
    chest = draw_chest(rng, positive=True)
    volume = render_chest(chest, Grid((16, 256, 256), (5.0, 1.4, 1.4), (chest.level_mm - 40, 0.0, 0.0)))
    stored = np.clip(volume + rng.normal(0, 20, volume.shape) + 1024, 0, 4095)
    return list(stored.astype(np.int16))


def written_on(frame, text, *, place, value, size=9):
    mask = Image.new("L", frame.shape[1::-1], 0)
    ImageDraw.Draw(mask).text(place, text, fill=255, font=ImageFont.load_default(size))
    ink = np.asarray(mask) / 255
    return (frame * (1 - ink) + value * ink).astype(frame.dtype), ink > 0.5


def covered(boxes, ink):
    shown = np.zeros(ink.shape, bool)
    for box in boxes:
        shown[box.top : box.bottom, box.left : box.right] = True
    return shown[ink].mean()


def test_a_series_without_text_has_none(finder, slices):
    assert search(lambda: iter(slices), finder) == {}


@pytest.mark.parametrize("value", [0, 2000, 4095])
def test_small_print_on_every_slice_is_found_on_every_slice(finder, slices, value):
    """Also where it is neither the brightest of all nor the darkest."""
    written = [written_on(one, NAME, place=(60, 120), value=value) for one in slices]
    found = search(lambda: (one for one, _ in written), finder)
    assert set(found) == set(range(len(slices)))
    assert covered(found[5], written[5][1]) > 0.95


def test_text_of_one_slice_is_found_there_and_the_others_stay(finder, slices):
    written, ink = written_on(slices[7], NAME, place=(60, 120), value=4095, size=12)
    frames = [written if number == 7 else one for number, one in enumerate(slices)]
    found = search(lambda: iter(frames), finder)
    assert set(found) == {7}
    assert covered(found[7], ink) > 0.95


def test_a_page_of_another_size_or_type_is_looked_at_by_itself(finder, slices):
    page, _ = written_on(np.zeros((120, 300, 3), np.uint8)[..., 0], NAME, place=(20, 40), value=255, size=14)
    colours = np.stack([page, page // 2, page // 4], axis=-1)
    same_size, _ = written_on(np.zeros((256, 256), np.uint8), "MRN 7300148", place=(20, 40), value=255, size=14)
    found = search(lambda: iter([*slices, colours, same_size]), finder)
    assert set(found) == {16, 17}
    assert any(matches(box.text, ["7300148"]) for box in found[17])


def test_looking_is_silent_and_stays_on_this_machine(finder, monkeypatch, capfd):
    def refuse(*_):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    page, _ = written_on(np.zeros((64, 256), np.uint8), NAME, place=(20, 20), value=255, size=14)
    assert TextFinder().find(page)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("number", [2, 9, 13])
def test_small_print_of_one_slice_is_not_buried_under_what_changes_in_the_others(finder, slices, number):
    """Vessels and folds that come and go are as bright as the line, and a maximum of all slices hides it in them."""
    rng = np.random.default_rng(7)
    busy = [one.astype(np.float32) for one in slices]
    for one in busy:
        for _ in range(150):
            row, column, length = *rng.integers(8, 240, 2).tolist(), int(rng.integers(4, 14))
            one[row : row + 2, column : column + length] += 2000
    plain, ink = written_on(busy[number], "MRN 9326968", place=(70, 100), value=3000, size=11)
    frames = [plain if at == number else one for at, one in enumerate(busy)]
    found = search(lambda: iter(frames), finder)
    assert number in found
    assert covered(found[number], ink) > 0.9


def test_dark_print_on_a_bar_at_the_edge_is_found(finder):
    """As on the head line of an ultrasound machine: the bar is too narrow for dark strokes to stand out in it."""
    frame = np.random.default_rng(2).integers(0, 120, (480, 640)).astype(np.uint8)
    frame[:17] = 225
    written, ink = written_on(frame, "*LARKSPUR INFIRMARY*", place=(80, 0), value=20, size=13)
    found = search(lambda: iter([written]), finder)
    assert covered(found[0], ink) > 0.9


def test_a_line_that_other_slices_cover_by_half_is_found_whole(finder, slices):
    """What is new in another slice there is more like letters; the slice that shows the other half is asked itself."""
    rng = np.random.default_rng(5)
    busy = [one.copy() for one in slices]
    for one in (*busy[:6], *busy[7:]):
        for row, column in zip(rng.integers(95, 125, 120), rng.integers(130, 240, 120), strict=True):
            one[row : row + rng.integers(1, 4), column : column + rng.integers(1, 4)] = 4095
    plain, ink = written_on(slices[6], "MRN 9326968 DOE", place=(60, 105), value=1600, size=11)
    frames = [plain if number == 6 else one for number, one in enumerate(busy)]
    found = search(lambda: iter(frames), finder)
    assert covered(found[6], ink) > 0.9


def test_letters_a_sixth_as_high_as_the_picture_are_a_line(finder):
    page, ink = written_on(np.full((400, 400), 90, np.uint8), "green", place=(30, 90), value=140, size=90)
    assert covered(search(lambda: iter([page]), finder)[0], ink) > 0.9


def test_frames_without_any_stroke_are_not_looked_at(monkeypatch):
    monkeypatch.setattr(TextFinder, "_detector", property(lambda _: pytest.fail("the detector was asked")))
    assert search(lambda: iter([np.full((64, 64), 7, np.uint8)] * 6), TextFinder()) == {}
