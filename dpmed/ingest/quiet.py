"""Reading hostile files without a word of theirs reaching a log, a warning or a traceback."""

import logging
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from PIL.Image import DecompressionBombError, DecompressionBombWarning
from pydicom.errors import BytesLengthException, InvalidDicomError

from dpmed.ingest.reasons import Reason, Refused

STANDARD_ERROR = 2

# What parsers of untrusted bytes raise. Spelled out, so that our own mistakes outside this list still surface; the
# net is wide because a header may break a parser anywhere, and every one of these messages may quote a value.
MALFORMED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    BytesLengthException,
    DecompressionBombError,
    DecompressionBombWarning,
    EOFError,
    HeaderDataError,
    ImageFileError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@contextmanager
def reading(reason: Reason = Reason.UNREADABLE) -> Iterator[None]:
    """Turn whatever a parser raises into `Refused(reason)` without its message, and keep its warnings silent.

    Nothing is written inside this block, so an `OSError` here is a damaged input and never a full disk.
    """
    try:
        with silence():
            yield
    except RecursionError:
        raise Refused(Reason.TOO_DEEP) from None
    except DecompressionBombError:
        raise Refused(Reason.TOO_LARGE) from None
    except MALFORMED:
        raise Refused(reason) from None


@contextmanager
def decoding() -> Iterator[None]:
    """The same around codecs written in C, which speak to the terminal themselves."""
    with reading(), _muted():
        yield


@contextmanager
def _muted() -> Iterator[None]:
    terminal = os.dup(STANDARD_ERROR)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, STANDARD_ERROR)
        yield
    finally:
        os.dup2(terminal, STANDARD_ERROR)
        os.close(nowhere)
        os.close(terminal)


@contextmanager
def silence() -> Iterator[None]:
    """No warning and no log line: the image libraries quote header values, some from loggers of their own modules."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
