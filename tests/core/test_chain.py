"""The hash chain: what was acknowledged stays, what was changed is noticed."""

import errno
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpmed.core.chain import GENESIS, Chain, canonical
from dpmed.core.errors import MismatchError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.jsonl"


def written(path, count):
    chain = Chain(path)
    for step in range(count):
        chain.append({"step": step, "note": "ünïcode"})
    return chain


def test_a_chain_that_was_never_written_is_empty(path):
    chain = Chain(path)
    assert (chain.records, chain.head, path.exists()) == ([], GENESIS, False)


def test_each_line_names_the_digest_of_the_line_before(path):
    heads = written(path, 3).heads
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["previous"] for line in lines] == heads[:-1]
    assert [line["sha256"] for line in lines] == heads[1:]
    assert heads[0] == GENESIS and len(set(heads)) == 4


def test_append_goes_on_where_an_earlier_process_stopped(path):
    first = written(path, 2)
    again = Chain(path)
    assert (again.records, again.head) == (first.records, first.head)
    again.append({"step": 2})
    assert [record["step"] for record in Chain(path).records] == [0, 1, 2]


def test_a_line_is_on_the_disk_when_append_returns(path):
    chain = Chain(path)
    for step in range(3):
        head = chain.append({"step": step})
        assert Chain(path).head == head


@given(cut=st.integers(min_value=0))
def test_a_last_line_torn_by_a_crash_is_dropped_and_appending_goes_on(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("chain") / "ledger.jsonl"
    written(path, 3)
    content = path.read_bytes()
    last = content[: content.rfind(b"\n", 0, -1) + 1]
    left = cut % (len(content) - len(last) - 1)
    path.write_bytes(last + content[len(last) : len(last) + left])
    chain = Chain(path)
    assert len(chain.records) == 2 and chain.is_torn == (left > 0)
    chain.append({"step": 2})
    assert path.read_bytes().startswith(last)
    assert len(Chain(path).records) == 3


def test_a_whole_last_line_that_lacks_its_line_end_counts(path):
    written(path, 3)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    chain = Chain(path)
    assert len(chain.records) == 3 and not chain.is_torn
    chain.append({"step": 3})
    assert path.read_bytes().startswith(content) and len(Chain(path).records) == 4


@given(position=st.integers(min_value=0), mask=st.integers(min_value=1, max_value=255))
def test_any_changed_byte_is_noticed(tmp_path_factory, position, mask):
    path = tmp_path_factory.mktemp("chain") / "ledger.jsonl"
    written(path, 3)
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= mask
    path.write_bytes(content)
    with pytest.raises(MismatchError, match="hash chain is broken"):
        Chain(path)


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_line_rewritten_as_valid_json_is_noticed(path, line):
    written(path, 3)
    lines = path.read_text().splitlines()
    lines[line] = canonical(json.loads(lines[line]) | {"step": 99})
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(MismatchError, match=f"line {line + 1}"):
        Chain(path)


def test_a_removed_line_is_noticed(path):
    written(path, 3)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])
    with pytest.raises(MismatchError, match="line 2"):
        Chain(path)


@pytest.mark.parametrize(
    "line", [b"[]\n", b"\xff\n", b"\n", b'{"previous": "x"}\n'], ids=["list", "bytes", "empty", "no"]
)
def test_a_line_that_is_no_entry_is_damage(path, line):
    path.write_bytes(line)
    with pytest.raises(MismatchError):
        Chain(path)


def test_a_number_that_json_cannot_hold_is_not_written(path):
    with pytest.raises(ValueError, match="JSON"):
        Chain(path).append({"epsilon": float("inf")})
    assert not path.exists()


def test_a_full_disk_leaves_a_torn_line_that_the_next_one_replaces(path, monkeypatch):
    chain = written(path, 2)
    real = os.fsync

    def full(handle):
        os.truncate(path, path.stat().st_size - 9)
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        chain.append({"step": 2})
    monkeypatch.setattr(os, "fsync", real)
    assert len(Chain(path).records) == 2
    chain.append({"step": 2})
    assert [record["step"] for record in Chain(path).records] == [0, 1, 2]
