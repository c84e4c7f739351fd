"""A dataset of invented patients, for whoever has no public scans: written and ingested as scans of a hospital are."""

from collections.abc import Iterator
from pathlib import Path

from dpmed.core.events import Progress
from dpmed.core.labels import label_scheme
from dpmed.core.manifest import Task
from dpmed.ingest.request import IngestRequest, SplitFractions
from dpmed.ingest.run import ingest
from dpmed.samples import MAX_PATIENTS, write_brats, write_covid_ct

PATIENTS = MAX_PATIENTS
OTHERS = 1000
"""Added to the seed: other phantoms than those that `dpmed demo` trains on in private."""


def phantom_seed(seed: int) -> int:
    """The seed of the phantoms that stand for no data."""
    return seed + OTHERS


def phantoms(task: Task, folder: Path, *, seed: int) -> Iterator[Progress]:
    """Make a dataset in `folder/data`, all of its patients to train on."""
    source = folder / "source"
    if task == "covid-ct":
        write_covid_ct(source, patients=PATIENTS, seed=phantom_seed(seed))
    else:
        write_brats(source, patients=PATIENTS, seed=phantom_seed(seed))
    request = IngestRequest(
        source=source,
        out=folder / "data",
        labels=source / "labels.csv" if task == "covid-ct" else None,
        task=task,
        label_scheme=label_scheme("brats") if task == "brats" else None,
        pixels="ignore",  # generated scans have neither text in their pixels nor faces
        faces="ignore",
        fractions=SplitFractions(train=1.0, test=0.0),
    )
    for event in ingest(request):
        if isinstance(event, Progress):
            yield event
