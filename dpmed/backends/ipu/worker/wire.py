"""Messages between dpmed and the worker: a JSON header and raw tensors, each with its length before it.

Nothing is executed on reading, and nothing is read beyond what the header announces: 4 bytes length of the header
(little-endian), the header, then the bytes of every array in `arrays`: [name, dtype, shape], little-endian, C order.
"""

from __future__ import annotations

import json
import struct
from typing import IO, Any, Dict, Tuple

import numpy as np

PROTOCOL = 2
MOST_HEADER_BYTES = 64 * 2**20
MOST_ARRAY_BYTES = 64 * 2**30
DTYPES = {"float32": "<f4", "float64": "<f8"}

Message = Tuple[Dict[str, Any], Dict[str, np.ndarray]]


class Closed(Exception):
    """The other side has gone."""


def send(stream: IO[bytes], header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write one message and flush it."""
    table = [[name, str(array.dtype.newbyteorder("=")), list(array.shape)] for name, array in arrays.items()]
    text = json.dumps(dict(header, arrays=table), allow_nan=False).encode()
    stream.write(struct.pack("<I", len(text)) + text)
    for array in arrays.values():
        stream.write(np.ascontiguousarray(array, DTYPES[str(array.dtype.newbyteorder("="))]).tobytes())
    stream.flush()


def receive(stream: IO[bytes]) -> Message:
    """Read one message. Raises `Closed` at the end of the stream, `ValueError` for what is no message."""
    (size,) = struct.unpack("<I", _exactly(stream, 4))
    if size > MOST_HEADER_BYTES:
        raise ValueError("the header of a message is too long")
    header = json.loads(_exactly(stream, size).decode())
    arrays = {}
    for name, dtype, shape in header.pop("arrays"):
        kind = np.dtype(DTYPES[dtype])
        count = int(np.prod([int(side) for side in shape], dtype=np.int64))
        if not 0 <= count * kind.itemsize <= MOST_ARRAY_BYTES:
            raise ValueError("an array of a message is too long")
        arrays[name] = np.ndarray(shape, kind, _exactly(stream, count * kind.itemsize))
    return header, arrays


def _exactly(stream: IO[bytes], size: int) -> bytearray:
    buffer = bytearray(size)
    view, read = memoryview(buffer), 0
    while read < size:
        count = stream.readinto(view[read:])  # type: ignore[attr-defined]
        if not count:
            raise Closed()
        read += count
    return buffer
