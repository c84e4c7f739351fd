"""A file is either old or new, whatever happens while it is written."""

import hashlib
import signal
import subprocess
import sys

import pytest

from dpmed.core.files import sha256_of, write_atomic, written_aside


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), written_aside(path) as aside:
        aside.write_bytes(b"half of the n")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_in_the_middle_of_a_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "statement.json"
    path.write_bytes(b"old")
    program = (
        "import os, signal, sys; from pathlib import Path; from dpmed.core.files import written_aside\n"
        "with written_aside(Path(sys.argv[1])) as aside:\n"
        "    aside.write_bytes(b'new')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


def test_the_temporary_name_keeps_the_suffixes_for_writers_that_choose_by_them(tmp_path):
    with written_aside(tmp_path / "image.nii.gz") as aside:
        assert aside.name.startswith(".")
        assert aside.name.endswith(".nii.gz")
        aside.write_bytes(b"")


def test_folders_on_the_way_are_made(tmp_path):
    write_atomic(tmp_path / "a" / "b" / "c.json", "{}")
    assert (tmp_path / "a" / "b" / "c.json").read_text() == "{}"


def test_the_old_file_is_replaced(tmp_path):
    write_atomic(tmp_path / "x", b"old")
    write_atomic(tmp_path / "x", "näw")
    assert (tmp_path / "x").read_bytes() == "näw".encode()


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert sha256_of(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()
