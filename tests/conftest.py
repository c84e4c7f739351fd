"""What every room's tests share: one thread, no network, and small datasets made from the sample data."""

import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, and inherited by subprocesses

settings.register_profile("dpmed", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("dpmed")

OWN_DIGITS = re.compile(rb"(?<![0-9a-f])[0-9a-f]{12,}(?![0-9a-f])|(?<![\d.])\d+\.\d+(?![\d.])")
"""Digests, pseudonyms and decimal fractions: among so many digits some planted number or other stands by chance."""

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Nothing is sent off the machine (promise 9): a connection to anywhere else fails the test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _local_only(getattr(socket.socket, name)))
        yield


@pytest.fixture(autouse=True, scope="session")
def no_reader_of_text() -> Iterator[None]:
    """Half a second a picture is for the tests that are about text; they take this back."""
    from dpmed.ingest.pixels import inspect

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect, "is_installed", lambda: False)
        yield


@pytest.fixture(scope="session")
def leaks() -> Callable[[Iterable[str], bytes], list[str]]:
    """Which of the planted words a content holds, in either case; a number counts unless it is part of a longer one."""

    def found(words: Iterable[str], content: bytes) -> list[str]:
        content = content.lower()
        numbers = set(re.findall(rb"\d+", OWN_DIGITS.sub(b"", content)))
        return [
            word for word in words if (word.encode() in numbers if word.isdigit() else word.lower().encode() in content)
        ]

    return found


def _local_only(connect):
    def guarded(self, address, *rest):
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError("a test reached for the network")
        return connect(self, address, *rest)

    return guarded


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images, where they are at hand; for tests marked `real_images`."""
    if not SHARED.is_dir():
        pytest.skip("no real images here")
    return SHARED


@pytest.fixture(scope="session")
def covid_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DICOM tree of invented patients, with labels.csv."""
    from dpmed.samples import write_covid_ct

    folder = tmp_path_factory.mktemp("source") / "covid-ct"
    write_covid_ct(folder, patients=12)
    return folder


@pytest.fixture(scope="session")
def brats_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BraTS folders of invented patients."""
    from dpmed.samples import write_brats

    folder = tmp_path_factory.mktemp("source") / "brats"
    write_brats(folder, patients=8)
    return folder


@pytest.fixture(scope="session")
def covid_dataset(covid_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`covid_source`, ingested. Shared by all tests: read only."""
    from dpmed.ingest.request import IngestRequest

    out = tmp_path_factory.mktemp("dataset") / "covid-ct"
    return _ingested(IngestRequest(source=covid_source, out=out, labels=covid_source / "labels.csv", task="covid-ct"))


@pytest.fixture(scope="session")
def brats_dataset(brats_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`brats_source`, ingested. Shared by all tests: read only."""
    from dpmed.core.labels import SCHEMES
    from dpmed.ingest.request import IngestRequest

    out = tmp_path_factory.mktemp("dataset") / "brats"
    return _ingested(IngestRequest(source=brats_source, out=out, label_scheme=SCHEMES["brats"], task="brats"))


def _ingested(request) -> Path:
    from dpmed.ingest.run import ingest

    for _ in ingest(request):
        pass
    return request.out
