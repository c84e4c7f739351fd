"""Keeps what libraries say off the terminal: their warnings, logs and tracebacks may quote a header (promise 7)."""

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hushed() -> Iterator[None]:
    """No warning, no log line and no traceback of a finaliser or thread inside this block, whoever it comes from."""
    before = logging.root.manager.disable, sys.unraisablehook, threading.excepthook
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = threading.excepthook = _say_nothing
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        level, sys.unraisablehook, threading.excepthook = before
        logging.disable(level)


def _say_nothing(_: object) -> None:
    pass
