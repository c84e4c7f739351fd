"""Groups of patients: in one of each column, never small, and never to be had by subtraction."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpmed.core.errors import ConfigError, ExitCode
from dpmed.core.manifest import Attributes, Case, Geometry, Manifest, ScrubSummary
from dpmed.evaluate.classification import of_patient
from dpmed.evaluate.groups import NOT_KNOWN, SEVERAL, check_smallest, columns_of, shown_groups
from dpmed.evaluate.results import ClassifiedCase
from dpmed.evaluate.subgroups import subgroups
from dpmed.evaluate.tables import below_groups, group_tables

SMALLEST = 5
SITES = ("s-00000000000a", "s-00000000000b", "s-00000000000c")


def partition(sizes: list[int]) -> dict[str, frozenset[str]]:
    people = iter(range(sum(sizes)))
    return {chr(97 + n): frozenset(str(next(people)) for _ in range(size)) for n, size in enumerate(sizes)}


def manifest(people: list[list[dict]]) -> Manifest:
    """Patients, each with the attributes of their scans."""
    cases = [
        Case(
            case=f"c-{patient:06x}{number:06x}",
            patient=f"p-{patient:012x}",
            images={"ct": f"images/{patient}-{number}.png"},
            label=0,
            split="test",
            intensity="display",
            geometry=Geometry(shape=(4, 4), spacing_mm=(1, 1), orientation="LP"),
            attributes=Attributes(**attributes),
            sha256={f"images/{patient}-{number}.png": "0" * 64},
        )
        for patient, scans in enumerate(people)
        for number, attributes in enumerate(scans)
    ]
    nothing = ScrubSummary(profile="x", identifiers_removed={}, images_in=0, images_out=0, quarantined=0)
    return Manifest(task="covid-ct", cases=tuple(cases), scrub=nothing)


def rated(labels: list[int], probabilities: list[float]):
    return [
        of_patient(
            f"p-{number:012x}", [ClassifiedCase(case=f"c-{number:012x}", label=label, probability=said, slice=0)]
        )
        for number, (label, said) in enumerate(zip(labels, probabilities, strict=True))
    ]


def test_a_small_group_is_never_shown_and_neither_is_one_that_tells_of_it() -> None:
    # 20 less 17 would tell of the three.
    assert shown_groups({"sex": partition([17, 3])}, SMALLEST) == {}
    # 30 less 12 less 10 tells of eight, which are enough; who they are divided into stays unknown.
    assert [key[1] for key in shown_groups({"sex": partition([12, 10, 4, 4])}, SMALLEST)] == ["a", "b"]
    # With three in the small group, the next smallest goes with it.
    assert [key[1] for key in shown_groups({"sex": partition([12, 10, 3])}, SMALLEST)] == ["a"]


def test_two_columns_do_not_tell_together_what_neither_tells_alone() -> None:
    # Scanner A was in site a (12) and in site c (4), scanner B in site b (12) and in site d (4): sites leave eight
    # untold. But scanner A less site a is site c.
    sites = partition([12, 12, 4, 4])
    scanners = {"A": sites["a"] | sites["c"], "B": sites["b"] | sites["d"]}
    assert set(shown_groups({"site": sites}, SMALLEST)) == {("site", "a"), ("site", "b")}
    shown = shown_groups({"site": sites, "scanner": scanners}, SMALLEST)
    assert not {("site", "a"), ("scanner", "A")} <= set(shown)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("abcd")), min_size=1, max_size=40))
def test_no_difference_of_what_is_shown_is_a_small_group(people: list[tuple[str, str]]) -> None:
    everybody = frozenset(range(len(people)))
    columns = {
        name: {value: frozenset(n for n in everybody if people[n][place] == value) for value in values}
        for place, (name, values) in enumerate({"scanner": "ABC", "site": "abcd"}.items())
    }
    shown = shown_groups(columns, SMALLEST)
    for whole in (everybody, *shown.values()):
        for column in columns:
            inside = [members for key, members in shown.items() if key[0] == column and members < whole]
            for count in range(1, len(inside) + 1):
                for some in itertools.combinations(inside, count):
                    left = len(whole) - sum(map(len, some))
                    assert left == 0 or left >= SMALLEST
    assert all(len(members) >= SMALLEST for members in shown.values())


def test_patients_are_in_one_group_of_each_column() -> None:
    people = [[{"sex": "F"}, {}], [{"sex": "F"}, {"sex": "M"}], [{}]]
    found = columns_of(manifest(people), [f"p-{n:012x}" for n in range(3)])
    assert found == {
        "sex": {"F": {"p-000000000000"}, SEVERAL: {"p-000000000001"}, NOT_KNOWN: {"p-000000000002"}},
    }


def test_a_column_that_nothing_is_known_of_is_left_out() -> None:
    found = subgroups(rated([0] * 9, [0.2] * 9), manifest([[{}]] * 9), smallest=SMALLEST)
    assert (found.columns, found.groups, found.some_are_too_small) == ((), (), False)
    assert below_groups(found) == ()


def test_results_of_a_group_are_those_of_its_patients_and_the_gap_that_to_all_others() -> None:
    rng = np.random.default_rng(0)
    labels, said = rng.integers(0, 2, 60), rng.random(60).round(3)
    people = [[{"sex": "F" if n < 25 else "M"}] for n in range(60)]
    found = subgroups(rated(labels.tolist(), said.tolist()), manifest(people), smallest=SMALLEST)
    women, men = found.groups
    assert (women.value, women.patients, men.value, men.patients) == ("F", 25, "M", 35)
    right = (said >= 0.5) == (labels == 1)
    by_name = {measure.measure: measure for measure in women.measures}
    assert by_name["accuracy"].value == pytest.approx(right[:25].mean())
    assert by_name["accuracy"].gap == pytest.approx(right[:25].mean() - right[25:].mean())
    assert by_name["accuracy"].gap_ci[0] < by_name["accuracy"].gap < by_name["accuracy"].gap_ci[1]
    assert by_name["auroc"].gap_ci[0] < by_name["auroc"].gap < by_name["auroc"].gap_ci[1]
    assert {m.measure: m.gap for m in men.measures}["auroc"] == pytest.approx(-by_name["auroc"].gap)


def test_a_class_with_few_patients_has_no_auroc_of_its_own() -> None:
    people = [[{"sex": "F" if n < 20 else "M"}] for n in range(40)]
    labels = [1] * 3 + [0] * 17 + [0, 1] * 10
    found = subgroups(rated(labels, [0.5] * 40), manifest(people), smallest=SMALLEST)
    women, men = ({one.measure: one for one in group.measures} for group in found.groups)
    assert women["auroc"].value is None
    assert men["auroc"].value == pytest.approx(0.5)
    assert men["auroc"].gap is None  # it would tell of the women


def test_what_is_told_of_small_groups_is_that_there_are_some() -> None:
    people = [[{"sex": "F", "scanner": "made-by-few" if n < 4 else "made-by-many"}] for n in range(16)]
    found = subgroups(rated([0, 1] * 8, [0.3] * 16), manifest(people), smallest=SMALLEST)
    assert [group.value for group in found.groups] == ["F"]
    assert found.some_are_too_small
    told = found.model_dump_json() + " ".join(below_groups(found))
    assert "made-by" not in told


def test_a_cohort_under_the_minimum_has_no_groups() -> None:
    found = subgroups(rated([0, 1], [0.2, 0.3]), manifest([[{"sex": "F"}]] * 2), smallest=SMALLEST)
    assert found.groups == ()
    assert found.some_are_too_small


def test_a_group_of_everybody_is_not_shown_again() -> None:
    found = subgroups(rated([0, 1] * 8, [0.3] * 16), manifest([[{"scanner": "one"}]] * 16), smallest=SMALLEST)
    assert [group.patients for group in found.groups] == [16]
    assert (group_tables(found, names_sites=True), below_groups(found)) == ((), ())


def test_sites_are_letters_where_they_are_not_to_be_named() -> None:
    people = [[{"site": SITES[n % 3]}] for n in range(30)]
    found = subgroups(rated([0, 1] * 15, [0.3] * 30), manifest(people), smallest=SMALLEST)
    named, lettered = ([row[0] for row in group_tables(found, names_sites=names)[-1].rows] for names in (True, False))
    assert named == [f"site {site}" for site in SITES]
    assert lettered == ["site A", "site B", "site C"]


@pytest.mark.parametrize("smallest", [-1, 0, 4])
def test_a_minimum_that_would_tell_of_persons_is_refused(smallest: int) -> None:
    with pytest.raises(ConfigError, match="would tell of persons") as refusal:
        check_smallest(smallest)
    assert refusal.value.exit_code == ExitCode.USAGE
    check_smallest(5)
