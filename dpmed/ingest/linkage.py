"""How easily a patient of the dataset could be found again by linking what is left with what somebody knows.

k-anonymity (Sweeney 2002, IJUFKS 10(5)): every patient shares all quasi-identifiers with at least k-1 others.
l-diversity (Machanavajjhala et al. 2007, TKDD 1(1), the distinct kind): every such group holds at least l labels.
Both are of patients, not of cases: whoever knows a patient may know all of their scans. `generalise` gives up detail
until k is reached, no more than it must.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from pydantic import Field

from dpmed.core.manifest import Attributes
from dpmed.core.record import Record

Row = Mapping[str, object]
"""One case: `patient`, perhaps `case` and a label, and any quasi-identifiers. None is not known."""
PATIENT, CASE, LABEL = "patient", "case", "label"
USUAL_K = (5, 11)
"""Thresholds in use: cells below 11 are not published by CMS; a risk of 0.09 = 1/11 is EMA Policy 0070's bound."""
KEEP_RATHER = ("sex", "age_band", "site", "scanner", "study_day")
"""What evaluation by subgroup needs most comes first: where two ways lose the same, the earlier column stays."""


class Step(Record):
    """One way to give up detail, and what it would bring."""

    what: str
    k: int
    unique: int


class Anonymity(Record):
    """k and l of a dataset, and the risk of finding a patient of whom somebody knows every quasi-identifier.

    `unique` patients share theirs with nobody; `label_follows` counts patients whose whole group has one label, so
    that finding the group tells it.
    """

    patients: int
    k: int
    groups: int
    unique: int
    below_5: int
    below_11: int
    labels: int | None = None
    l_distinct: int | None = None
    label_follows: int | None = None
    columns: dict[str, int] = Field(default_factory=dict)
    steps: tuple[Step, ...] = ()

    @property
    def highest_risk(self) -> float:
        """Of the patient easiest to find, for somebody who knows that they are in the dataset (prosecutor)."""
        return 1 / self.k if self.k else 0.0

    @property
    def average_risk(self) -> float:
        """The mean of the same over all patients."""
        return self.groups / self.patients if self.patients else 0.0

    @property
    def best_step(self) -> Step | None:
        """The single step that raises k most, then leaves fewest patients alone; None where no step helps."""
        better = [step for step in self.steps if (step.k, -step.unique) > (self.k, -self.unique)]
        return max(better, key=lambda step: (step.k, -step.unique), default=None)


@dataclass(frozen=True)
class Generalised:
    """Rows with less detail, and what was given up. `k` is below the k asked for only where patients are too few."""

    rows: tuple[Row, ...]
    steps: tuple[str, ...]
    suppressed: int
    k: int


def anonymity(rows: Iterable[Row], *, sensitive: str = LABEL) -> Anonymity:
    """Count the groups of patients that share all columns. Without any column, all patients are one group."""
    rows = tuple(rows)
    columns = _columns(rows, sensitive)
    groups = _groups(rows, columns)
    sizes = Counter(len(members) for members in groups.values())
    labels = _labels(rows, sensitive)
    diversity = [frozenset().union(*(labels[member] for member in members)) for members in groups.values()]
    known = frozenset().union(*labels.values()) if labels else frozenset()
    return Anonymity(
        patients=sum(size * count for size, count in sizes.items()),
        k=min(sizes, default=0),
        groups=len(groups),
        unique=sizes[1],
        below_5=_below(sizes, USUAL_K[0]),
        below_11=_below(sizes, USUAL_K[1]),
        labels=len(known) or None,
        l_distinct=min((len(each) for each in diversity if each), default=None),
        label_follows=sum(
            len(members) for members, each in zip(groups.values(), diversity, strict=True) if len(each) == 1
        )
        if known
        else None,
        columns={column: len({row.get(column) for row in rows}) for column in columns},
        steps=tuple(_single_steps(rows, columns)),
    )


def generalise(rows: Iterable[Row], k: int) -> Generalised:
    """Give up the least detail that puts every patient into a group of k.

    All ways of coarsening whole columns are tried; patients still in smaller groups lose every attribute and form a
    group of their own. The loss of a value is how far up its ladder it went (Sweeney's precision), of a suppressed
    patient all of theirs; least loss wins. The same rows give the same answer in any order.
    """
    rows = tuple(rows)
    columns = _columns(rows, LABEL)
    patients = len({row[PATIENT] for row in rows})
    ways = (_way(rows, columns, levels, k) for levels in product(*(range(len(_ladder(name))) for name in columns)))
    best = min(ways, key=lambda way: (way.loss, len(way.suppressed), way.levels))
    coarse = tuple(
        {**row, **dict.fromkeys(columns)} if row[PATIENT] in best.suppressed else _coarser(row, columns, best.levels)
        for row in rows
    )
    everybody = len(best.suppressed) == patients
    steps = [_name(column, level) for column, level in zip(columns, best.levels, strict=True) if level]
    return Generalised(
        rows=coarse,
        steps=("everything dropped: too few patients",) if everybody and columns else tuple(steps),
        suppressed=0 if everybody else len(best.suppressed),
        k=anonymity(coarse).k,
    )


def generalised(
    attributes: Mapping[str, Attributes], patients: Mapping[str, str], k: int
) -> tuple[dict[str, Attributes], Generalised]:
    """The attributes of all cases with every patient in a group of k; `patients` names the patient of each case."""
    rows = [{CASE: case, PATIENT: patients[case], **dict(each)} for case, each in attributes.items()]
    done = generalise(rows, k)
    coarse = {str(row[CASE]): {name: row[name] for name in Attributes.model_fields} for row in done.rows}
    return {case: Attributes.model_validate(values) for case, values in coarse.items()}, done


@dataclass(frozen=True)
class _Way:
    levels: tuple[int, ...]
    suppressed: frozenset[object]
    loss: float


def _way(rows: Sequence[Row], columns: Sequence[str], levels: tuple[int, ...], k: int) -> _Way:
    groups = _groups([_coarser(row, columns, levels) for row in rows], columns)
    suppressed: set[object] = set()
    for _, members in sorted(groups.items(), key=lambda item: (len(item[1]), item[0])):
        if len(members) >= k and (not suppressed or len(suppressed) >= k):
            break
        suppressed |= members
    heights = {column: level / (len(_ladder(column)) - 1) for column, level in zip(columns, levels, strict=True)}
    loss = sum(
        1.0 if row[PATIENT] in suppressed else heights[column]
        for row in rows
        for column in columns
        if row.get(column) is not None
    )
    return _Way(levels, frozenset(suppressed), round(loss, 9))


def _single_steps(rows: Sequence[Row], columns: Sequence[str]) -> Iterator[Step]:
    for position, column in enumerate(columns):
        for level in range(1, len(_ladder(column))):
            levels = tuple(level if place == position else 0 for place in range(len(columns)))
            sizes = [
                len(group) for group in _groups([_coarser(row, columns, levels) for row in rows], columns).values()
            ]
            yield Step(what=_name(column, level), k=min(sizes), unique=sizes.count(1))


def _columns(rows: Sequence[Row], sensitive: str) -> tuple[str, ...]:
    """Quasi-identifiers of which at least one value is known, in a fixed order."""
    names = {name for row in rows for name, value in row.items() if value is not None} - {PATIENT, CASE, sensitive}
    return tuple(sorted(names, key=lambda name: (KEEP_RATHER.index(name) if name in KEEP_RATHER else 99, name)))


def _groups(rows: Sequence[Row], columns: Sequence[str]) -> dict[str, set[object]]:
    """Patients by all that their cases show together, whatever the order and number of the cases."""
    shown: dict[object, set[tuple[str, ...]]] = defaultdict(set)
    for row in rows:
        shown[row[PATIENT]].add(tuple("" if row.get(name) is None else str(row.get(name)) for name in columns))
    groups: dict[str, set[object]] = defaultdict(set)
    for patient, values in shown.items():
        groups[repr(sorted(values))].add(patient)
    return groups


def _labels(rows: Sequence[Row], sensitive: str) -> dict[object, frozenset[object]]:
    found: dict[object, set[object]] = defaultdict(set)
    for row in rows:
        found[row[PATIENT]] |= {row[sensitive]} if row.get(sensitive) is not None else set()
    return {patient: frozenset(values) for patient, values in found.items()}


def _below(sizes: Mapping[int, int], threshold: int) -> int:
    return sum(size * count for size, count in sizes.items() if size < threshold)


def _ladder(column: str) -> tuple[tuple[str, Callable[[object], object]], ...]:
    """Ever less detail of one column, each with its name."""
    start, end = ("as it is", _same), ("dropped", _nothing)
    return (start, ("in 20 years", _twenty_years), end) if column == "age_band" else (start, end)


def _same(value: object) -> object:
    return value


def _nothing(_: object) -> object:
    return None


def _twenty_years(band: object) -> object:
    if band is None:
        return None
    low = int(str(band).split("-")[0].removesuffix("+")) // 20 * 20
    return f"{low}+" if low >= 80 or str(band).endswith("+") else f"{low}-{low + 19}"


def _coarser(row: Row, columns: Sequence[str], levels: Sequence[int]) -> Row:
    values = {name: _ladder(name)[level][1](row.get(name)) for name, level in zip(columns, levels, strict=True)}
    return {**row, **values}


def _name(column: str, level: int) -> str:
    return f"{column} {_ladder(column)[level][0]}"
