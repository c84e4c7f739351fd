"""Reading hostile files without a word of theirs reaching a log, a warning or a traceback."""

import logging
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

LIBRARY_LOGGERS = ("pydicom", "nibabel", "nibabel.global", "PIL")

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
def silence() -> Iterator[None]:
    """No warning and no log line of the image libraries: they quote header values."""
    loggers = [logging.getLogger(name) for name in LIBRARY_LOGGERS]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
