"""Names that only the holder of a key can trace back: HMAC-SHA-256 with one subkey per purpose.

A plain hash of a hospital number is no pseudonym: all of them can be tried in seconds. With the key, the same patient
gets the same name in every run; without it, names and date shifts tell nothing. The key never enters the dataset.
"""

import datetime
import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Literal

from dpmed.core.errors import ConfigError, MismatchError

KEY_BYTES = 32
NAME_DIGITS = 12
MAX_SHIFT_DAYS = 3650
MAX_SHIFT_SECONDS = 86_399
PLACE_DIGITS = 16
MOST_UIDS = 1_000_000
"""Remembered per process; past that they are computed anew."""
UUID_MARKS = 0xF << 76 | 0x3 << 62
UUID_VERSION_8 = 0x8 << 76 | 0x2 << 62
SEPARATOR = "\x1f"


class Pseudonyms:
    """The pseudonyms under one key. Never serialised; the key stays in memory."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigError("the key has the wrong length", hint="a key file holds 64 hexadecimal digits")
        self._key = key
        self._known: dict[str, str] = {}

    def patient(self, identity: str) -> str:
        """`p-` and twelve hex digits for an original patient identity."""
        return self._distinct("p-", "patient", identity)

    def case(self, patient: str, scan: str) -> str:
        """`c-` and twelve hex digits for one scan of an original patient identity."""
        return self._distinct("c-", "case", f"{patient}{SEPARATOR}{scan}")

    def site(self, institution: str) -> str:
        """`s-` and twelve hex digits for an institution."""
        return f"s-{self._digest('site', institution)[:NAME_DIGITS]}"

    def file(self, name: str) -> str:
        """A short name for an input file, for the quarantine list: the key holder can recompute it."""
        return f"f-{self._digest('file', name)[:NAME_DIGITS]}"

    def fingerprint(self, text: str) -> str:
        """A keyed digest, for the journal: tells whether an input changed and nothing else."""
        return self._digest("journal", text)

    def rank(self, patient: str, seed: int) -> str:
        """A keyed, seeded sort key of a patient, for splits."""
        return self._digest("split", f"{seed}{SEPARATOR}{patient}")

    def shift_days(self, identity: str) -> int:
        """How many days all dates of this patient move into the past: 1 to 3650, the same for all of them."""
        return 1 + int(self._digest("date", identity), 16) % MAX_SHIFT_DAYS

    def shift_seconds(self, identity: str) -> int:
        """How far all times of day of this patient move, around the clock: 1 to 86,399 seconds."""
        return 1 + int(self._digest("time", identity), 16) % MAX_SHIFT_SECONDS

    def place(self, purpose: Literal["study", "series", "instance"], uid: str) -> str:
        """A short name for a study, a series or an instance, for folders and files."""
        return f"{purpose[:2]}-{self._digest(purpose, uid)[:PLACE_DIGITS]}"

    def uid_key(self) -> bytes:
        """The subkey of UIDs alone, for worker processes: it opens nothing else."""
        return self._subkey("uid")

    def shifted(self, day: datetime.date, identity: str) -> datetime.date:
        """A date moved by the patient's shift: intervals within a patient stay exact to the day."""
        return day - datetime.timedelta(days=self.shift_days(identity))

    def _distinct(self, prefix: str, purpose: str, identity: str) -> str:
        name = prefix + self._digest(purpose, identity)[:NAME_DIGITS]
        if self._known.setdefault(name, identity) != identity:
            # 48 bits: one chance in 600 million for a thousand patients. Refused, since it would merge two people.
            raise MismatchError("two originals got the same pseudonym under this key", hint="use another --key FILE")
        return name

    def _digest(self, purpose: str, text: str) -> str:
        return hmac.digest(self._subkey(purpose), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()

    def _subkey(self, purpose: str) -> bytes:
        return hmac.digest(self._key, f"dpmed/1/{purpose}".encode(), hashlib.sha256)


class Uids:
    """New UIDs for old ones, under 2.25 (PS3.5 B.2): the same for the same in every file and every run with the key."""

    def __init__(self, subkey: bytes) -> None:
        self._subkey = subkey
        self._known: dict[str, str] = {}

    def __call__(self, uid: str) -> str:
        """The new UID, 128 bits of a keyed digest in the form of a UUID (RFC 9562, version 8)."""
        known = self._known.get(uid)
        if known is None:
            digest = hmac.digest(self._subkey, uid.encode("utf-8", "surrogatepass"), hashlib.sha256)
            number = int.from_bytes(digest[:16], "big") & ~UUID_MARKS | UUID_VERSION_8
            known = f"2.25.{number}"
            if len(self._known) < MOST_UIDS:
                self._known[uid] = known
        return known


def default_key_path(out: Path) -> Path:
    """Beside the dataset, never in it."""
    whole = out.absolute()  # so that `.` has a name too
    return whole.with_name(whole.name + ".key")


def read_key(path: Path, *, dataset: Path) -> bytes | None:
    """The key in `path`, or None where there is no file yet.

    Raises `ConfigError` if the key lies in the dataset folder, if others may read it, or if it is no key.
    """
    if path.resolve().is_relative_to(dataset.resolve()):
        raise ConfigError(
            "the key would lie inside the dataset folder, where it travels with the data it protects",
            hint="choose a place outside: --key FILE",
        )
    if not path.exists():
        return None
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise ConfigError("the key is not a regular file", hint="choose another: --key FILE")
    if mode & 0o077:
        raise ConfigError("other users may read the key file", hint=f"chmod 600 {path}")
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError("the key file does not hold a key", hint="a key file holds 64 hexadecimal digits")
    return key


def new_key() -> bytes:
    """32 bytes from the operating system."""
    return secrets.token_bytes(KEY_BYTES)


def write_key(path: Path, key: bytes) -> None:
    """Write a new key file readable by its owner alone; an existing file is never replaced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
