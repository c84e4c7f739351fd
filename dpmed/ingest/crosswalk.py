"""The crosswalk: which pseudonym was which patient. Written only on request, encrypted, outside the dataset.

One line of JSON says how the rest was locked; the rest is AES-256-GCM (NIST SP 800-38D) over the table and that line,
so neither can be changed unnoticed. The key comes from a passphrase by scrypt (RFC 7914) or from a key file by HKDF
(RFC 5869), each time with fresh salt. The table is padded, so that its size tells the number of patients only roughly.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import Field, StringConstraints

from dpmed.core.errors import ConfigError, MismatchError, NoInputError
from dpmed.core.files import write_atomic
from dpmed.core.manifest import PatientId
from dpmed.core.record import Record
from dpmed.ingest.pseudonyms import SEPARATOR, Pseudonyms, read_key

FROM_ENVIRONMENT = "DPMED_CROSSWALK_PASSPHRASE"
"""Where a passphrase may come from instead of a prompt. Never from the command line, which other users can list."""
SHORTEST_PASSPHRASE = 12
KEY_BYTES, SALT_BYTES, NONCE_BYTES, TAG_BYTES = 32, 16, 12, 16
SCRYPT_COST = 2**17
"""With r = 8 it takes 128 MiB and about half a second for each guess (OWASP's recommendation)."""
PADDING = 4096
LONGEST_HEADER = 1024
LARGEST = 2**30


class Entry(Record):
    """One patient. `shift_days` is how far the dates of the dataset lie before the true ones, None where none stand.

    Where a header named no patient, `issuer` is the word study and `patient` the original study UID.
    """

    pseudonym: PatientId
    patient: str = Field(repr=False)
    issuer: str = Field(default="", repr=False)
    shift_days: int | None = Field(default=None, repr=False)


class _Table(Record):
    schema_: Literal["dpmed.crosswalk-table/1"] = Field(default="dpmed.crosswalk-table/1", alias="schema")
    entries: tuple[Entry, ...] = Field(repr=False)


class _Header(Record):
    """How a crosswalk is locked. Part of what is authenticated."""

    schema_: Literal["dpmed.crosswalk/1"] = Field(default="dpmed.crosswalk/1", alias="schema")
    cipher: Literal["AES-256-GCM"] = "AES-256-GCM"
    kdf: Literal["scrypt", "HKDF-SHA256"]
    # Bounded, so that a hostile file cannot ask for all the memory there is.
    scrypt_n: Annotated[int, Field(ge=2**14, le=2**20)] | None = None
    scrypt_r: Literal[8] | None = None
    scrypt_p: Literal[1] | None = None
    salt: Annotated[str, StringConstraints(pattern=rf"^[0-9a-f]{{{2 * SALT_BYTES}}}$")]
    nonce: Annotated[str, StringConstraints(pattern=rf"^[0-9a-f]{{{2 * NONCE_BYTES}}}$")]


@dataclass(frozen=True)
class Lock:
    """What opens a crosswalk: a passphrase, or a key file of its own."""

    secret: bytes = field(repr=False)
    kdf: Literal["scrypt", "HKDF-SHA256"]

    @classmethod
    def passphrase(cls, text: str) -> "Lock":
        """Raises `ConfigError` if it is too short to withstand guessing."""
        if len(text) < SHORTEST_PASSPHRASE:
            raise ConfigError(
                f"the passphrase is shorter than {SHORTEST_PASSPHRASE} characters", hint="four or more random words"
            )
        return cls(text.encode(), "scrypt")

    @classmethod
    def key_file(cls, path: Path, *, dataset: Path) -> "Lock":
        """A file of 64 hexadecimal digits that its owner alone may read, outside the dataset."""
        key = read_key(path, dataset=dataset)
        if key is None:
            raise NoInputError("the key file of the crosswalk does not exist", hint="check its path")
        return cls(key, "HKDF-SHA256")

    def key(self, header: _Header) -> bytes:
        """The key that this lock and the salt of `header` make."""
        salt = bytes.fromhex(header.salt)
        if self.kdf == "scrypt":
            return Scrypt(salt, KEY_BYTES, n=header.scrypt_n or SCRYPT_COST, r=8, p=1).derive(self.secret)
        return HKDF(SHA256(), KEY_BYTES, salt, b"dpmed/1/crosswalk").derive(self.secret)


def passphrase_from(environment: Mapping[str, str], ask: Callable[[], str]) -> Lock:
    """The lock of a passphrase from the environment, or else from whoever sits at the terminal."""
    return Lock.passphrase(environment.get(FROM_ENVIRONMENT) or ask())


def entries_of(identities: Mapping[str, str], pseudonyms: Pseudonyms, *, dated: bool) -> tuple[Entry, ...]:
    """The table, by pseudonym. `identities` gives the original identity of each; `dated` if shifted dates were kept."""
    return tuple(
        _entry(name, identity, pseudonyms.shift_days(identity) if dated else None)
        for name, identity in sorted(identities.items())
    )


def _entry(name: str, identity: str, shift_days: int | None) -> Entry:
    issuer, _, patient = identity.rpartition(SEPARATOR)
    return Entry(pseudonym=name, patient=patient, issuer=issuer, shift_days=shift_days)


def require_place(path: Path, *, dataset: Path) -> None:
    """Raise `ConfigError` unless a crosswalk may be written there. To be asked before the work begins."""
    if path.resolve().is_relative_to(dataset.resolve()):
        raise ConfigError(
            "the crosswalk would lie inside the dataset folder and travel with the data it names",
            hint="choose a place outside: --crosswalk FILE",
        )
    if path.exists() or path.is_symlink():
        raise ConfigError("there is a file already where the crosswalk is to go", hint="choose a new --crosswalk FILE")


def write_crosswalk(path: Path, entries: tuple[Entry, ...], lock: Lock, *, dataset: Path) -> None:
    """Write the table, whole or not at all, for its owner's eyes only; an earlier file is never replaced."""
    require_place(path, dataset=dataset)
    header = _Header(
        kdf=lock.kdf,
        scrypt_n=SCRYPT_COST if lock.kdf == "scrypt" else None,
        scrypt_r=8 if lock.kdf == "scrypt" else None,
        scrypt_p=1 if lock.kdf == "scrypt" else None,
        salt=os.urandom(SALT_BYTES).hex(),
        nonce=os.urandom(NONCE_BYTES).hex(),
    )
    line = header.model_dump_json(by_alias=True, exclude_none=True).encode() + b"\n"
    table = _Table(entries=entries).model_dump_json(by_alias=True).encode()
    padded = table + b" " * (-len(table) % PADDING)
    sealed = AESGCM(lock.key(header)).encrypt(bytes.fromhex(header.nonce), padded, line)
    write_atomic(path, line + sealed, mode=0o600)


def write_if_asked(
    path: Path | None,
    lock: Lock | None,
    identities: Mapping[str, str],
    pseudonyms: Pseudonyms,
    *,
    dated: bool,
    dataset: Path,
) -> None:
    """The crosswalk of an ingest, where one was asked for."""
    if path is not None and lock is not None:
        write_crosswalk(path, entries_of(identities, pseudonyms, dated=dated), lock, dataset=dataset)


def read_crosswalk(path: Path, lock: Lock) -> tuple[Entry, ...]:
    """The table. Raises `MismatchError` for a wrong secret or a changed file; the two cannot be told apart."""
    if not path.is_file():
        raise NoInputError("there is no crosswalk at this path", hint="it was named by --crosswalk when it was made")
    if path.stat().st_size > LARGEST:
        raise MismatchError("this is not a crosswalk", hint="check the path")
    content = path.read_bytes()
    line, newline, sealed = content.partition(b"\n")
    if not newline or len(line) > LONGEST_HEADER or len(sealed) < TAG_BYTES or not line.isascii():
        raise MismatchError("this is not a crosswalk", hint="check the path")
    header = _Header.from_json(line.decode())
    if header.kdf != lock.kdf:
        needed = "a passphrase" if header.kdf == "scrypt" else "a key file"
        raise ConfigError(f"this crosswalk opens with {needed}", hint="give what it was made with")
    try:
        table = AESGCM(lock.key(header)).decrypt(bytes.fromhex(header.nonce), sealed, line + newline)
    except InvalidTag:
        raise MismatchError("wrong passphrase or key, or the file was changed", hint="try again, or a copy") from None
    return _Table.from_json(table.decode()).entries
