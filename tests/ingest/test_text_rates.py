"""How many lines of small print on tissue are found: a share, of many lines whose places and words are drawn."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from dpmed.ingest.pixels.projections import HIGHEST, LOWEST
from dpmed.ingest.pixels.series import search
from dpmed.ingest.pixels.text import TextFinder

LEAST = {9: 0.99, 7: 0.95}
"""Share of lines found, by the height of capital letters in pixels."""
CONTRAST = 60 / 255
"""Of the range of values, between the letters and the brightest or darkest tissue around them."""
COVERED = 0.9
SIDE, SLICES, LINES = 256, 16, 8
"""LINES lie below each other in one picture, or one in each of as many slices."""
TRIALS = 3
NAMES = ("QUILLFEATHER", "OTTOLINE", "BRAMBLEBY", "Larkspur", "Schmidt", "NGUYEN", "Garcia", "Thompson")


@pytest.fixture(scope="module")
def finder():
    pytest.importorskip("rapidocr")
    pytest.importorskip("onnxruntime")
    return TextFinder()


@pytest.fixture(scope="module")
def volumes():
    """Generated chests with noise, stored values of 12 bits."""
    from dpmed.samples.chest import draw_chest, render_chest
    from dpmed.samples.shapes import Grid

    made = []
    for seed in range(TRIALS):
        rng = np.random.default_rng([seed, 0])
        chest = draw_chest(rng, positive=bool(seed % 2))
        grid = Grid((SLICES, SIDE, SIDE), (5.0, 1.4, 1.4), (chest.level_mm - 40, 0.0, 0.0))
        stored = render_chest(chest, grid) + rng.normal(0, 20, (SLICES, SIDE, SIDE)) + 1024
        made.append(np.clip(stored, 0, 4095).astype(np.int16))
    return made


def words(rng):
    name, other = rng.choice(NAMES, 2)
    day, month, year = rng.integers(10, 29), rng.integers(10, 13), rng.integers(1930, 2000)
    return str(
        rng.choice(
            [f"{name}^{other}", f"MRN {rng.integers(10**6, 10**7)}", f"DOB {day}.{month}.{year}", f"{name}, 47Y"]
        )
    )


def font_of(height):
    for size in range(height, 3 * height):
        font = ImageFont.load_default(size)
        _, top, _, bottom = font.getbbox("H")
        if bottom - top >= height:
            return font
    raise AssertionError("no such size")


def line_in(rng, band, height):
    """The strokes of a line in one of the bands of a picture, as a share of each pixel, and where they are."""
    text, font = words(rng), font_of(height)
    left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
    row = band * SIDE // LINES + int(rng.integers(4, SIDE // LINES - (bottom - top) - 4))
    column = int(rng.integers(4, SIDE - (right - left) - 4))
    mask = Image.new("L", (SIDE, SIDE), 0)
    ImageDraw.Draw(mask).text((column - left, row - top), text, fill=255, font=font)
    return np.asarray(mask) / 255, np.s_[row : row + bottom - top, column : column + right - left]


def written(rng, frame, band, height):
    """A frame with one more line, bright or dark, whichever the range of values has room for."""
    strokes, place = line_in(rng, band, height)
    low, high = np.percentile(frame, (LOWEST, HIGHEST))
    bright = np.percentile(frame[place], 95) + CONTRAST * (high - low)
    dark = np.percentile(frame[place], 5) - CONTRAST * (high - low)
    value = dark if (rng.random() < 0.5 and dark >= low) or bright > high else bright
    return (frame * (1 - strokes) + value * strokes).astype(frame.dtype), strokes > 0.5


def is_covered(boxes, ink):
    shown = np.zeros(ink.shape, bool)
    for box in boxes:
        shown[box.top : box.bottom, box.left : box.right] = True
    return shown[ink].mean() >= COVERED


@pytest.mark.parametrize("height", LEAST)
def test_lines_on_single_pictures_are_found(finder, volumes, height):
    found = []
    for number in range(TRIALS):
        rng = np.random.default_rng([number, height, 1])
        frame, inks = volumes[number][int(rng.integers(SLICES))], []
        for band in range(LINES):
            frame, ink = written(rng, frame, band, height)
            inks.append(ink)
        boxes = search([frame].__iter__, finder).get(0, ())
        found += [is_covered(boxes, ink) for ink in inks]
    assert np.mean(found) >= LEAST[height], f"{sum(found)} of {len(found)}"


@pytest.mark.parametrize("height", LEAST)
def test_lines_on_one_slice_of_a_series_are_found(finder, volumes, height):
    found = []
    for number in range(TRIALS):
        rng = np.random.default_rng([number, height, 2])
        frames, inks = list(volumes[number]), {}
        for band, place in enumerate(rng.choice(SLICES, LINES, replace=False)):
            frames[place], inks[int(place)] = written(rng, frames[place], band, height)
        shown = search(frames.__iter__, finder)
        found += [is_covered(shown.get(place, ()), ink) for place, ink in inks.items()]
    assert np.mean(found) >= LEAST[height], f"{sum(found)} of {len(found)}"
