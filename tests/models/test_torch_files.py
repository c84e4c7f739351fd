"""Files of torch.save are read as torch reads them, and nothing in them is run, whatever they hold."""

import io
import struct
import zipfile
from collections import OrderedDict
from contextlib import suppress

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from dpmed.core.errors import MismatchError
from dpmed.models.torch_files import MAGIC, TYPES, OtherContentError, read_saved
from dpmed.models.weight_files import read_weights

both_forms = pytest.mark.parametrize("is_zip", [True, False])


def of_all_kinds():
    base = torch.arange(24, dtype=torch.float32).view(4, 6)
    return {
        "types": {name: torch.tensor([0, 1, 1], dtype=dtype) for name, dtype in TYPES.items()},
        "views": [base, base.t(), base[1:3, ::2], base[0, 0]],
        "nothing": torch.empty(0, 3),
        "layers": nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).state_dict(),
        "weight": nn.Parameter(torch.ones(2)),
        "plain": OrderedDict(step=3, rate=0.5, name="net", large=2**70, none=None, pair=(1, True), deep=[[], {}, ()]),
    }


def saved(content, *, is_zip):
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=is_zip)
    return file.getvalue()


def same(one, other):
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return one == other


@both_forms
def test_everything_is_what_torch_reads(tmp_path, is_zip):
    file = tmp_path / "all.pth"
    file.write_bytes(saved(of_all_kinds(), is_zip=is_zip))
    theirs = torch.load(file, weights_only=True)
    assert same(read_saved(file), theirs)
    assert not same(read_saved(file), theirs | {"nothing": torch.empty(1)})


@both_forms
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path, is_zip, data):
    content = bytearray(saved({"a": torch.ones(3), "b": [torch.zeros(2, 2), 1]}, is_zip=is_zip))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path / "damaged.pth"
    file.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    with suppress(OtherContentError):
        read_saved(file)


def stream(instructions, *, storages=b"\x80\x02].", numbers=b""):
    """A file of the older form with instructions of one's own."""
    number = MAGIC.to_bytes(10, "little")
    head = (
        b"\x80\x02\x8a\x0a" + number + b"." + b"\x80\x02M\xe9\x03." + b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s."
    )
    return head + instructions + storages + numbers


def storage(count):
    """Instructions that describe one of so many floats."""
    return (
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuJ"
        + struct.pack("<i", count)
        + b"tQ"
    )


def view(count, shape, stride):
    sizes = [b"(" + b"".join(b"J" + struct.pack("<i", one) for one in some) + b"t" for some in (shape, stride)]
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(count) + b"K\x00" + b"".join(sizes) + b"\x89NtR"


ONE = b"\x80\x02]X\x01\x00\x00\x000a."
HOSTILE = {
    "a function of the system": stream(b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00truetR."),
    "an instance": stream(b"\x80\x02(icollections\nCounter\n."),
    "a name from the stack": stream(b"\x80\x04\x8c\x02os\x8c\x06system\x93."),
    "more numbers than the file has": stream(b"\x80\x02" + view(2**31 - 1, [1], [1]) + b".", storages=ONE),
    "fewer than none": stream(b"\x80\x02" + view(-1, [1], [1]) + b".", storages=ONE),
    "one number for very many": stream(
        b"\x80\x02" + view(1, [2**30, 2**30], [0, 0]) + b".", storages=ONE, numbers=struct.pack("<qf", 1, 1)
    ),
    "beyond its numbers": stream(
        b"\x80\x02" + view(1, [1, 1], [5, 5])[:-4] + b"\x89NtR" + b".", storages=ONE, numbers=struct.pack("<qf", 2, 1)
    ),
    "nothing on the stack": stream(b"\x80\x02R."),
    "no mark": stream(b"\x80\x02K\x01t."),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_would_run_or_fill_the_memory_is_refused(tmp_path, name):
    file = tmp_path / "hostile.pth"
    file.write_bytes(HOSTILE[name])
    with pytest.raises(OtherContentError):
        read_saved(file)


def test_the_same_instructions_without_malice_are_read(tmp_path):
    file = tmp_path / "fine.pth"
    file.write_bytes(stream(b"\x80\x02" + view(2, [2], [1]) + b".", storages=ONE, numbers=struct.pack("<qff", 2, 5, 6)))
    assert torch.equal(read_saved(file), torch.tensor([5.0, 6.0]))


def test_what_holds_itself_or_doubles_forty_times_ends(tmp_path):
    file = tmp_path / "loop.pth"
    file.write_bytes(stream(b"\x80\x02}q\x00X\x0a\x00\x00\x00state_dicth\x00s."))
    with pytest.raises(MismatchError, match="no tensors by name"):
        read_weights(file)
    file.write_bytes(stream(b"\x80\x02)" + b"q\x00h\x00\x86" * 40 + b"."))
    with pytest.raises(MismatchError, match="no tensors by name"):
        read_weights(file)


def test_a_packed_archive_is_refused(tmp_path):
    """What torch writes is not packed; a few packed bytes can be more than any memory."""
    file = tmp_path / "packed.pth"
    with (
        zipfile.ZipFile(io.BytesIO(saved({"a": torch.zeros(9)}, is_zip=True))) as plain,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(OtherContentError):
        read_saved(file)
