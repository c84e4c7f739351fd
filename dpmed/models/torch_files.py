"""Tensors in files that `torch.save` wrote, read as data: nothing that comes with them is run.

Such a file holds instructions to a stack machine that may call any function (pickle), and the numbers apart. The
machine here knows tensors, dictionaries, lists and plain values, calls no function but its own three, and stops at the
first instruction that would have it do otherwise. Forms: the zip archive of torch 1.6 and later, and the one before.
"""

import io
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from pickletools import genops
from typing import IO, Any

import torch
from torch import Tensor

TYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
MAGIC = 0x1950A86A20F9469CFC6C
"""The first number in a file of the older form."""
CONSTANTS = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "BINSTRING"}
MARK = object()


class OtherContentError(Exception):
    """The file is damaged, or holds something else than tensors and plain values."""


def read_saved(path: Path) -> Any:
    """What was saved: tensors in dictionaries, lists and tuples, and plain values.

    Raises `OtherContentError` where there is more or less than that.
    """
    read = _of_archive if zipfile.is_zipfile(path) else _of_stream
    try:
        with warnings.catch_warnings(action="ignore"):  # of texts that are decoded before they are refused
            return read(path)
    except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise OtherContentError from error
    except (EOFError, struct.error, zipfile.BadZipFile) as error:
        raise OtherContentError from error


def _of_archive(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        (instructions,) = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        top = instructions.removesuffix("data.pkl")
        _require(all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist()))  # as torch does it
        _require(f"{top}byteorder" not in names or archive.read(f"{top}byteorder") == b"little")
        machine = _Machine(room=path.stat().st_size)
        made = machine.run(io.BytesIO(archive.read(instructions)))
        for key, storage in machine.storages.items():
            _fill(storage, archive.read(f"{top}data/{key}"))
    return made


def _of_stream(path: Path) -> Any:
    """Five runs of instructions (magic, version, machine, content, keys of storages), then numbers, key by key."""
    file = io.BytesIO(path.read_bytes())  # a read from memory asks for no more than there is
    _require(_Machine().run(file) == MAGIC)
    _Machine().run(file)
    _require(_Machine().run(file)["little_endian"])
    machine = _Machine(room=path.stat().st_size)
    made = machine.run(file)
    for key in _Machine().run(file):
        storage = machine.storages[key]
        (count,) = struct.unpack("<q", file.read(8))
        _require(count == storage.numel())
        _fill(storage, file.read(storage.nbytes))
    return made


def _fill(storage: Tensor, numbers: bytes) -> None:
    _require(len(numbers) == storage.nbytes)
    if numbers:
        storage.copy_(torch.frombuffer(bytearray(numbers), dtype=storage.dtype))


def _require(holds: object) -> None:
    if not holds:
        raise OtherContentError


class _Machine:
    """Runs the instructions that tensors, dictionaries, lists and plain values take.

    `storages` are flat tensors by key, of no more than `room` bytes together, that wait for their numbers; tensors are
    views of them.
    """

    def __init__(self, room: int = 0) -> None:
        self.storages: dict[str, Tensor] = {}
        self._room = room
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, instructions: IO[bytes]) -> Any:
        """What is on top of the stack at the end."""
        for instruction, argument, _ in genops(instructions):
            if instruction.name in CONSTANTS:
                self._stack.append(argument)
            elif (do := _INSTRUCTIONS.get(instruction.name)) is not None:
                do(self, argument)
            else:
                _require(instruction.name in {"PROTO", "STOP"})
        return self._stack.pop()

    def push(self, value: Any) -> None:
        """Put on top."""
        self._stack.append(value)

    def take(self, count: int) -> list[Any]:
        """Take so many off, the lowest first."""
        _require(len(self._stack) >= count)
        cut = len(self._stack) - count
        self._stack, some = self._stack[:cut], self._stack[cut:]
        return some

    def take_marked(self) -> list[Any]:
        """Take all off above the last mark, and the mark."""
        above = [one is MARK for one in reversed(self._stack)].index(True)
        return self.take(above + 1)[1:]

    def keep(self, key: int) -> None:
        """Note what is on top under a number."""
        self._memo[key] = self._stack[-1]

    def recall(self, key: int) -> None:
        """Put on top what was noted."""
        self.push(self._memo[key])

    def update(self, items: list[Any]) -> None:
        """Put keys and values into the dictionary on top."""
        self._stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def extend(self, items: list[Any]) -> None:
        """Put items into the list on top."""
        self._stack[-1].extend(items)

    def name(self, argument: str) -> None:
        """Put on top what the name of a module and of something in it stands for here."""
        module, _, inner = argument.partition(" ")
        self.push(TYPES[inner] if module == "torch" else FUNCTIONS[argument])

    def call(self) -> None:
        """Call one of `FUNCTIONS`: nothing else that can be called is ever on the stack."""
        function, arguments = self.take(2)
        self.push(function(*arguments))

    def find_storage(self) -> None:
        """Replace a description of a storage by the storage."""
        kind, dtype, key, _, count, *_ = self._stack.pop()
        _require(kind == "storage")
        if key not in self.storages:
            self._room -= count * dtype.itemsize
            _require(count >= 0 and self._room >= 0)
            self.storages[key] = torch.empty(count, dtype=dtype)
        self.push(self.storages[key])


def _view(storage: Tensor, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """A tensor as it lies in its storage, of which no number stands for many."""
    view = storage.as_strided(shape, stride, offset)
    _require(view.numel() <= storage.numel())
    return view


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "collections OrderedDict": lambda items=(): dict(items),
    "torch._utils _rebuild_tensor_v2": _view,
    "torch._utils _rebuild_parameter": lambda tensor, *_: tensor,
}

_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "MARK": lambda machine, _: machine.push(MARK),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.take_marked())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.take(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.take(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.take(3))),
    "SETITEM": lambda machine, _: machine.update(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.update(machine.take_marked()),
    "APPEND": lambda machine, _: machine.extend(machine.take(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.take_marked()),
    "BINPUT": _Machine.keep,
    "LONG_BINPUT": _Machine.keep,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "GLOBAL": _Machine.name,
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.push(machine.take(2)[0]),  # without the attributes, which are of no tensor
    "BINPERSID": lambda machine, _: machine.find_storage(),
}
