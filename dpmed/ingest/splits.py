"""Which patient goes to train, val or test: by patient, stratified by label, the same for the same key and seed."""

from collections import defaultdict
from collections.abc import Mapping

from dpmed.core.manifest import Split
from dpmed.ingest.pseudonyms import Pseudonyms
from dpmed.ingest.request import SplitFractions


def assign_splits(
    labels: Mapping[str, int | None],
    declared: Mapping[str, Split],
    *,
    pseudonyms: Pseudonyms,
    seed: int,
    fractions: SplitFractions,
) -> dict[str, Split]:
    """A split for every original patient in `labels`; what the label file declares stands.

    The others are ranked by a keyed hash within their label, and the ranks are cut at the fractions: middle of the
    rank over the number of patients, so that a few patients still fill train first, then test, then val.
    """
    strata: dict[int | None, list[str]] = defaultdict(list)
    for patient, label in labels.items():
        if patient not in declared:
            strata[label].append(patient)
    splits = {patient: declared[patient] for patient in labels if patient in declared}
    for patients in strata.values():
        ranked = sorted(patients, key=lambda patient: pseudonyms.rank(patient, seed))
        for place, patient in enumerate(ranked):
            splits[patient] = _cut((place + 0.5) / len(ranked), fractions)
    return splits


def _cut(share: float, fractions: SplitFractions) -> Split:
    if share < fractions.train:
        return "train"
    return "test" if share < round(fractions.train + fractions.test, 9) else "val"
