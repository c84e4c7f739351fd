"""How fast files go through de-identification, here and with whatever else is installed: turn by turn, one process."""

import importlib
import importlib.util
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from dpmed.core.events import Progress
from dpmed.ingest.quiet import silence
from dpmed.ingest.request import IngestRequest
from dpmed.ingest.run import ingest

Tool = Callable[[Path, Path], None]


@dataclass(frozen=True)
class Row:
    """One tool: files written per second (median of the rounds) and how many times faster dpmed is."""

    tool: str
    files: int
    seconds_median: float
    files_per_second: float
    dpmed_is_faster_by: float


def bench_ingest(source: Path, *, rounds: int, workers: int | None) -> Iterator[Progress | Row]:
    """Measure DICOM to DICOM; the rows come last, dpmed first.

    The others look at headers alone, so that is what dpmed is compared by; looking for text and faces is a row of its
    own. Every tool takes its turn in every round, so that a slow minute of the machine is shared. A first, unmeasured
    round loads libraries and the page cache. Peers run as their own documentation calls them, with their defaults.
    """
    tools: dict[str, Tool] = {
        "dpmed": partial(_dpmed, workers=1, pixels="ignore", faces="ignore"),
        "dpmed, pixels and faces looked at": partial(_dpmed, workers=1),
    }
    if workers is not None and workers > 1:
        tools[f"dpmed, {workers} workers"] = partial(_dpmed, workers=workers, pixels="ignore", faces="ignore")
    tools |= {name: run for name, run in PEERS.items() if importlib.util.find_spec(MODULES[name])}
    seconds: Mapping[str, list[float]] = defaultdict(list)
    written: dict[str, int] = {}
    for turn in range(rounds + 1):
        for number, (name, tool) in enumerate(tools.items()):
            spent, written[name] = _timed(tool, source)
            if turn:
                seconds[name].append(spent)
            yield Progress("measuring", turn * len(tools) + number + 1, (rounds + 1) * len(tools))
    own = statistics.median(seconds["dpmed"]) / max(written["dpmed"], 1)
    for name in tools:
        median = statistics.median(seconds[name])
        each = median / max(written[name], 1)
        yield Row(name, written[name], round(median, 3), round(1 / each, 1), round(each / own, 2))


def _timed(tool: Tool, source: Path) -> tuple[float, int]:
    with tempfile.TemporaryDirectory(prefix="dpmed-bench-") as folder:
        out = Path(folder) / "out"
        with silence(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            started = time.perf_counter()
            tool(source, out)
            spent = time.perf_counter() - started
        return spent, sum(1 for path in out.rglob("*") if path.is_file() and path.suffix not in {".json", ".html"})


def _dpmed(source: Path, out: Path, **options: Any) -> None:
    for _ in ingest(IngestRequest(source=source, out=out, format="dicom", **options)):
        pass


def _dicom_anonymizer(source: Path, out: Path) -> None:
    out.mkdir()
    importlib.import_module("dicomanonymizer").anonymize(str(source), str(out), {}, True)


def _dicognito(source: Path, out: Path) -> None:
    import pydicom

    out.mkdir()
    anonymizer = importlib.import_module("dicognito.anonymizer").Anonymizer()
    for number, path in enumerate(sorted(source.rglob("*.dcm"))):
        with pydicom.dcmread(path) as data:
            anonymizer.anonymize(data)
            data.save_as(out / f"{number}.dcm")


PEERS: Mapping[str, Tool] = {
    "dicom-anonymizer": _dicom_anonymizer,
    "dicognito": _dicognito,
}
MODULES = {"dicom-anonymizer": "dicomanonymizer", "dicognito": "dicognito"}
