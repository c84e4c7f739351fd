"""The ledger: in order, without gaps, unforgeable line by line."""

import json

import pytest

from dpmed.core.errors import MismatchError
from dpmed.core.specs import Entry
from dpmed.privacy.ledger import Ledger


def _entry(step: int) -> Entry:
    return Entry(
        step=step, mechanism="poisson-subsampled-gaussian", sample_rate=0.1, noise_multiplier=1.0, clip_norm=1.0
    )


@pytest.fixture
def ledger(tmp_path):
    book = Ledger(tmp_path / "ledger.jsonl")
    for step in range(5):
        book.append(_entry(step))
    return book


def test_what_was_appended_is_read_back(ledger, tmp_path):
    again = Ledger(tmp_path / "ledger.jsonl")
    assert again.entries == ledger.entries == tuple(map(_entry, range(5)))
    assert again.head == ledger.head and again.holds(ledger.head)


@pytest.mark.parametrize("step", [3, 4, 6])
def test_a_step_is_neither_repeated_nor_left_out(ledger, step):
    with pytest.raises(ValueError, match="in order"):
        ledger.append(_entry(step))


def test_any_changed_number_is_noticed(ledger, tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.write_text(path.read_text().replace('"noise_multiplier":1.0', '"noise_multiplier":9.0', 1))
    with pytest.raises(MismatchError, match="line 1"):
        Ledger(path)


def test_a_removed_line_is_noticed(ledger, tmp_path):
    path = tmp_path / "ledger.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2] + lines[3:]))
    with pytest.raises(MismatchError, match="line 3"):
        Ledger(path)


def test_a_line_torn_by_a_crash_does_not_count_and_gives_way_to_the_next(ledger, tmp_path):
    path = tmp_path / "ledger.jsonl"
    whole = path.read_text()
    torn = whole + json.dumps({"step": 5})[:-3]
    path.write_text(torn)
    again = Ledger(path)
    assert len(again.entries) == 5 and path.read_text() == torn
    again.append(_entry(5))
    assert path.read_text().startswith(whole) and len(Ledger(path).entries) == 6


def test_holds_knows_every_line_and_the_start(ledger):
    assert ledger.holds("0" * 64)
    assert not ledger.holds("f" * 64)
