from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmed.core.errors import ConfigError
from dpmed.ingest.pseudonyms import Pseudonyms
from dpmed.ingest.request import SplitFractions
from dpmed.ingest.splits import assign_splits

NAMES = Pseudonyms(bytes(32))


def split(labels, declared=None, *, seed=0):
    return assign_splits(labels, declared or {}, pseudonyms=NAMES, seed=seed, fractions=SplitFractions())


def test_shares_are_seventy_twenty_ten_within_each_label():
    splits = split({str(patient): patient % 2 for patient in range(200)})
    for label in (0, 1):
        counts = Counter(splits[str(patient)] for patient in range(200) if patient % 2 == label)
        assert counts == {"train": 70, "test": 20, "val": 10}


def test_few_patients_fill_train_then_test_then_val():
    sizes = {n: Counter(split({str(patient): None for patient in range(n)}).values()) for n in (1, 2, 5)}
    assert sizes == {1: {"train": 1}, 2: {"train": 1, "test": 1}, 5: {"train": 3, "test": 1, "val": 1}}


@given(st.dictionaries(st.text(), st.sampled_from([0, 1, None]), max_size=30), st.integers(0, 9))
def test_splits_depend_on_key_and_seed_alone(labels, seed):
    turned = dict(reversed(labels.items()))
    assert split(labels, seed=seed) == split(turned, seed=seed)
    assert set(split(labels, seed=seed)) == set(labels)


def test_another_seed_gives_another_split():
    labels = {str(patient): None for patient in range(50)}
    assert split(labels, seed=0) != split(labels, seed=1)


def test_declared_splits_stand():
    splits = split({"a": 0, "b": 1, "c": 0}, {"a": "val", "b": "test"})
    assert (splits["a"], splits["b"], splits["c"]) == ("val", "test", "train")


@pytest.mark.parametrize("fractions", [(0, 0.5), (0.9, 0.2), (0.5, -0.1)])
def test_fractions_that_make_no_split_are_refused(fractions):
    with pytest.raises(ConfigError):
        SplitFractions(*fractions)
