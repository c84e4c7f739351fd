"""Pictures show the cases that tell most, with what is so beside what was said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from dpmed.evaluate.classification import of_patient
from dpmed.evaluate.judges import mean_dice, most_telling, spread
from dpmed.evaluate.pictures import COLOURS, OutlinedSlice, RatedSlice, overlay_figure, rated_figure, save
from dpmed.evaluate.results import ClassifiedCase, SegmentedCase

PATIENT = "p-0123456789ab"


def rated(probability: float, *, label: int = 1, number: int = 0):
    case = ClassifiedCase(case=f"c-{number:012x}", label=label, probability=probability, slice=0)
    return of_patient(f"p-{number:012x}", [case])


def outlined(dice: float, number: int = 0):
    measures = ("hd95_mm", "surface_dice", "lesion_dice", "lesion_hd95_mm", "volume_ml", "reference_volume_ml")
    rest = {name: {"a": 0} for name in measures} | {"lesions": {"a": {"reference": 0, "found": 0, "false": 0}}}
    one = SegmentedCase(case=f"c-{number:012x}", dice={"a": dice}, absent=(), slice=0, **rest)
    return PATIENT, one


def texts(figure) -> list[str]:
    return [axis.get_title() for axis in figure.axes] + [axis.get_ylabel() for axis in figure.axes]


@pytest.mark.parametrize(("label", "expected"), [(1, [0.9, 0.8, 0.2, 0.1]), (0, [0.1, 0.2, 0.8, 0.9])])
def test_the_most_right_and_the_most_wrong_of_a_class_are_chosen(label: int, expected: list[float]) -> None:
    cases = [rated(p, label=label, number=n) for n, p in enumerate((0.5, 0.1, 0.9, 0.2, 0.4, 0.8))]
    cases.append(rated(0.99, label=1 - label, number=9))
    assert [patient.probability for patient in most_telling(cases, label=label)] == expected


@given(st.integers(0, 8))
def test_no_patient_is_shown_twice(count: int) -> None:
    cases = [rated(n / 10, number=n) for n in range(count)]
    shown = [patient.patient for patient in most_telling(cases, label=1)]
    assert len(set(shown)) == len(shown) == min(count, 4)


@pytest.mark.parametrize(
    ("dices", "expected"),
    [
        ([0.3, 0.9, 0.5, 0.1, 0.7], [("best", 0.9), ("median", 0.5), ("worst", 0.1)]),
        ([0.3, 0.9], [("best", 0.9), ("worst", 0.3)]),
        ([0.3], [("best", 0.3)]),
    ],
)
def test_best_median_and_worst_are_shown_as_far_as_there_are(dices, expected) -> None:
    chosen = spread([outlined(dice, number) for number, dice in enumerate(dices)])
    assert [(grade, mean_dice(case)) for grade, _, case in chosen] == expected


def test_every_slice_has_its_patient_and_verdict_written_above() -> None:
    pixels = np.zeros((4, 4))
    rows = [
        (
            "covid",
            [RatedSlice(PATIENT, pixels, 0.912, is_right=True), RatedSlice(PATIENT, pixels, 0.3, is_right=False)],
        ),
        ("no covid", [RatedSlice(PATIENT, pixels, 0.1, is_right=True)]),
    ]
    words = " ".join(texts(rated_figure(rows)))
    assert words.count(PATIENT) == 3
    assert "predicted 0.912: right" in words
    assert "predicted 0.300: wrong" in words
    assert "reference: no covid" in words


def test_regions_are_painted_where_they_are_in_their_colours(tmp_path) -> None:
    reference = np.zeros((2, 20, 20), dtype=bool)
    reference[0, 4:16, 4:16] = reference[1, 8:12, 8:12] = True
    row = OutlinedSlice("best", np.full((20, 20), 0.5), reference, np.zeros_like(reference), aspect=1.0)
    figure = overlay_figure([row], ("whole", "core"))
    drawn, nothing = (axis.images[1].get_array() for axis in figure.axes[1:])
    assert np.allclose(drawn[4, 4], (*to_rgb(COLOURS[0]), 1))  # the border is solid
    assert np.allclose(drawn[8, 8], (*to_rgb(COLOURS[1]), 1))  # the inner region lies on top
    assert 0 < drawn[6, 6, 3] < 1
    assert drawn[0, 0, 3] == 0
    assert not nothing.any()
    save(figure, tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 1000


def test_a_page_says_that_it_stays() -> None:
    figure = rated_figure([("covid", [RatedSlice(PATIENT, np.zeros((4, 4)), 0.5, is_right=True)])])
    assert "stays in curator/" in figure.get_suptitle()
