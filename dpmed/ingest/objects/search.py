"""`--verify` of a dataset that stayed DICOM: harvest what came in, search what was written."""

from collections import defaultdict
from collections.abc import Generator, Iterable, Sequence

from dpmed.core.events import Progress
from dpmed.ingest.needles import Needles
from dpmed.ingest.objects.encoding import EXPLICIT_LITTLE
from dpmed.ingest.objects.exporter import Written
from dpmed.ingest.objects.harvest import Harvest, Harvester
from dpmed.ingest.objects.marks import Marks, file_meta
from dpmed.ingest.objects.plan import Plan
from dpmed.ingest.own import own_words
from dpmed.ingest.rules.compile import rules_for
from dpmed.ingest.verify import SAMPLE, Searched, Searcher, evenly, reader_of, search_outputs


def search(plan: Plan, outcomes: Sequence[Written], documents: Iterable[str]) -> Generator[Progress, None, Searched]:
    """Search every object and our own `documents`, and where it can be read the text in a sample of the pictures."""
    found = yield from _harvest(plan)
    whole = Harvest().joined(found.values())
    marks = b" ".join((*Marks(plan.profile).elements(EXPLICIT_LITTLE).values(), file_meta("", "", "")))
    names = [name for outcome in outcomes for name in outcome.sha256]
    searcher = Searcher(
        plan.request.out,
        Needles((part for part in whole.everywhere if part.lower() not in whole.stays), known=marks),
        reader_of(whole.everywhere, pixel_policy=plan.request.pixels),
        evenly(names, SAMPLE),
        own={patient: harvest.own - harvest.moved for patient, harvest in found.items()},
    )
    total = yield from search_outputs(searcher, names, documents=documents, own=own_words())
    return total.model_copy(update={"needles": total.needles + sum(len(harvest.own) for harvest in found.values())})


def _harvest(plan: Plan) -> Generator[Progress, None, dict[str, Harvest]]:
    """What to search for, by the pseudonym of the patient."""
    harvester = Harvester(rules_for(plan.profile))
    found: dict[str, Harvest] = defaultdict(Harvest)
    for position, batch in enumerate(plan.batches, start=1):
        several = (harvester(source.path, batch.person) for source in batch.files)
        names = (harvester.of_name(source.name) for source in batch.files)
        found[batch.patient] = found[batch.patient].joined((*names, *several))
        yield Progress("collecting identifiers", position, len(plan.batches))
    return dict(found)
