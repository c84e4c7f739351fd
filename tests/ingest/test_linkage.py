import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmed.core.manifest import Attributes
from dpmed.ingest.linkage import Anonymity, anonymity, generalise, generalised
from dpmed.ingest.objects.traits import rows_of_traits


def rows(*lines):
    """patient, sex, age band, scanner, label"""
    names = ("patient", "sex", "age_band", "scanner", "label")
    return [dict(zip(names, line, strict=True)) for line in lines]


# Worked by hand. Patients by (sex, age band, scanner):
#   F 40-49 ge       a b c    labels 0 0 0   a group of 3 with one label: it tells the label of all three
#   M 40-49 ge       d e      labels 0 1     a group of 2 with two labels
#   M 50-59 siemens  f        label  1       alone
# k = 1, 3 groups, 1 patient alone, all 6 in groups below 5; risks: highest 1/1, average 3/6.
# l = 1 (of 2 labels); the group tells the label of a, b, c and f: 4 patients.
# Without sex:      {a b c d e} {f}      k 1, alone 1
# Without age:      {a b c} {d e} {f}    k 1, alone 1    (the maker still tells f apart)
# Without scanner:  {a b c} {d e} {f}    k 1, alone 1
# Ages in 20 years: both are 40-59, the maker still tells f apart: k 1, alone 1. So no single step helps.
BY_HAND = rows(
    ("a", "F", "40-49", "ge", 0),
    ("b", "F", "40-49", "ge", 0),
    ("c", "F", "40-49", "ge", 0),
    ("d", "M", "40-49", "ge", 0),
    ("e", "M", "40-49", "ge", 1),
    ("f", "M", "50-59", "siemens", 1),
)


def test_the_table_worked_by_hand():
    found = anonymity(BY_HAND)
    assert (found.patients, found.k, found.groups, found.unique) == (6, 1, 3, 1)
    assert (found.below_5, found.below_11) == (6, 6)
    assert (found.highest_risk, found.average_risk) == (1.0, 0.5)
    assert (found.labels, found.l_distinct, found.label_follows) == (2, 1, 4)
    assert found.columns == {"sex": 2, "age_band": 2, "scanner": 2}
    assert {(step.k, step.unique) for step in found.steps} == {(1, 1)}
    assert found.best_step is None


def test_the_step_that_raises_k_most_is_named():
    # Without the maker: {a b} {c d}: k 2. Without the sex: {a} {b} {c} {d}: k 1.
    found = anonymity(
        rows(
            *[(p, s, None, m, None) for p, s, m in [("a", "F", "x"), ("b", "F", "y"), ("c", "M", "x"), ("d", "M", "z")]]
        )
    )
    assert found.best_step is not None
    assert (found.best_step.what, found.best_step.k, found.best_step.unique) == ("scanner dropped", 2, 0)


def test_several_scans_of_a_patient_count_once_but_show_more():
    # a and b look alike on each day, but only a came back: the pattern tells them apart.
    scans = [{"patient": "a", "study_day": 0}, {"patient": "a", "study_day": 30}, {"patient": "b", "study_day": 0}]
    assert (anonymity(scans).patients, anonymity(scans).k) == (2, 1)
    assert anonymity([*scans, {"patient": "b", "study_day": 30}]).k == 2
    assert anonymity([*scans, scans[0], scans[2]]).k == 1


def test_without_attributes_all_patients_are_one_group():
    found = anonymity(rows(("a", None, None, None, 0), ("b", None, None, None, 1)))
    assert (found.k, found.groups, found.columns, found.l_distinct, found.label_follows) == (2, 1, {}, 2, 0)


def test_an_empty_dataset_has_no_risk():
    assert anonymity([]) == Anonymity(patients=0, k=0, groups=0, unique=0, below_5=0, below_11=0)
    assert (anonymity([]).highest_risk, anonymity([]).average_risk) == (0, 0)


def test_what_is_not_known_is_a_value_like_any_other():
    assert anonymity(rows(("a", "F", None, None, None), ("b", None, None, None, None))).k == 1


def test_ages_are_widened_before_anything_is_dropped():
    table = rows(
        ("a", "F", "40-49", "ge", 0),
        ("b", "F", "50-59", "ge", 0),
        ("c", "F", "80-89", "ge", 0),
        ("d", "F", "90+", "ge", 0),
    )
    done = generalise(table, 2)
    assert done.steps == ("age_band in 20 years",)
    assert [row["age_band"] for row in done.rows] == ["40-59", "40-59", "80+", "80+"]
    assert (done.k, done.suppressed) == (2, 0)


def test_a_lone_patient_is_suppressed_rather_than_everybody_coarsened():
    # Ten alike and two odd ones. Suppressing the two costs 4 values of 24, dropping the maker or the sex would cost 12.
    table = rows(
        *[(str(n), "F", None, "ge", None) for n in range(10)],
        ("x", "M", None, "ge", None),
        ("y", "F", None, "agfa", None),
    )
    done = generalise(table, 2)
    assert (done.steps, done.suppressed, done.k) == ((), 2, 2)
    assert {row["patient"] for row in done.rows if row["sex"] is None} == {"x", "y"}
    assert all(row["scanner"] is None for row in done.rows if row["sex"] is None)


def test_one_suppressed_patient_is_never_left_alone():
    table = rows(*[(str(n), "F", None, "ge", None) for n in range(5)], ("x", "M", None, "ge", None))
    assert generalise(table, 2).k >= 2


def test_too_few_patients_lose_everything_and_it_is_said():
    done = generalise(BY_HAND, 7)
    assert done.steps == ("everything dropped: too few patients",)
    assert (done.k, done.suppressed) == (6, 0)
    assert all(row["sex"] is row["age_band"] is row["scanner"] is None for row in done.rows)


def test_what_is_fine_already_stays_as_it_is():
    done = generalise(BY_HAND[:3], 3)
    assert (done.rows, done.steps, done.suppressed) == (tuple(BY_HAND[:3]), (), 0)


def test_labels_and_names_of_cases_are_never_changed():
    for before, after in zip(BY_HAND, generalise(BY_HAND, 5).rows, strict=True):
        assert (before["patient"], before["label"]) == (after["patient"], after["label"])


tables = st.lists(
    st.tuples(
        st.integers(0, 12).map(str), st.sampled_from(["F", "M", None]), st.sampled_from(["40-49", "50-59", "90+"]),
        st.sampled_from(["ge", "siemens"]), st.sampled_from([0, 1, None]),
    ),
    min_size=1, max_size=40,
)  # fmt: skip


@given(tables, st.integers(2, 6))
def test_k_is_reached_or_there_are_too_few_patients(lines, k):
    table = rows(*lines)
    done = generalise(table, k)
    assert done.k >= min(k, len({line[0] for line in lines}))
    assert anonymity(done.rows).k == done.k


@given(tables, st.randoms())
def test_the_order_of_cases_changes_nothing(lines, random):
    shuffled = list(lines)
    random.shuffle(shuffled)
    one, other = generalise(rows(*lines), 3), generalise(rows(*shuffled), 3)
    assert (one.steps, one.suppressed, one.k) == (other.steps, other.suppressed, other.k)
    assert sorted(map(repr, one.rows)) == sorted(map(repr, other.rows))
    assert anonymity(rows(*lines)) == anonymity(rows(*shuffled))


@given(tables)
def test_groups_agree_with_the_slow_count(lines):
    table = rows(*lines)
    shown = {line[0]: {tuple(other[1:4]) for other in lines if other[0] == line[0]} for line in lines}
    sizes = [sum(seen == other for other in shown.values()) for seen in shown.values()]
    found = anonymity(table)
    assert (found.k, found.unique, found.below_5) == (min(sizes), sizes.count(1), sum(size < 5 for size in sizes))
    assert found.average_risk == pytest.approx(sum(1 / size for size in sizes) / len(sizes))


def test_attributes_of_all_cases_are_generalised_together():
    attributes = {f"c{n}": Attributes(sex="F", age_band=f"{30 + 10 * (n % 2)}-{39 + 10 * (n % 2)}") for n in range(4)}
    coarse, done = generalised(attributes, {f"c{n}": f"p{n}" for n in range(4)}, 4)
    assert done.steps == ("age_band dropped",)
    assert all(each == Attributes(sex="F") for each in coarse.values())


def test_moved_dates_count_as_days_since_the_first():
    series = [
        ("p-1", {"sex": "F", "study_date": "19731105"}, 0),
        ("p-1", {"sex": "F", "study_date": "19731205"}, 0),
        ("p-2", {"sex": "F", "study_date": "20010101"}, 1),
        ("p-3", {"study_date": "nonsense"}, None),
    ]
    assert [row["study_day"] for row in rows_of_traits(series)] == [0, 30, 0, None]
    assert all("study_date" not in row for row in rows_of_traits(series))
    # Whatever the secret shift, two patients with one study each cannot be told apart by its date.
    assert anonymity(rows_of_traits([series[0], series[2]])).k == 2


def test_every_way_is_tried():
    """The loss is least among all whole-column coarsenings with suppression, found here one by one."""
    table = rows(
        *[(str(n), "FM"[n % 2], ("40-49", "50-59", "60-69")[n % 3], ("ge", "agfa")[n // 9], None) for n in range(12)]
    )
    done = generalise(table, 4)
    lost = sum(
        1
        for before, after in zip(table, done.rows, strict=True)
        for name in ("sex", "scanner")
        if after[name] != before[name]
    )
    lost += sum(
        {"None": 1.0}.get(str(after["age_band"]), 0.0 if after["age_band"] == before["age_band"] else 0.5)
        for before, after in zip(table, done.rows, strict=True)
    )
    best = min(_losses(table, 4))
    assert lost == pytest.approx(best)


def _losses(table, k):
    twenty = {"40-49": "40-59", "50-59": "40-59", "60-69": "60-79"}
    for sex, age, scanner in itertools.product((0, 1), (0, 1, 2), (0, 1)):
        coarse = {
            row["patient"]: (
                None if sex else row["sex"],
                (row["age_band"], twenty[row["age_band"]], None)[age],
                None if scanner else row["scanner"],
            )
            for row in table
        }
        sizes = {patient: list(coarse.values()).count(value) for patient, value in coarse.items()}
        lone = [patient for patient, size in sizes.items() if size < k]
        if 0 < len(lone) < k:
            continue
        yield len(lone) * 3 + (len(table) - len(lone)) * (sex + age / 2 + scanner)
