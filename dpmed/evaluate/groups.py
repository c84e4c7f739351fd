"""Who may be told apart: patients by the manifest's attributes, and no group so small that it points at a person.

A group that is not shown must not follow from those that are. From two columns of a table, or from a group and the
whole cohort, whoever reads can subtract; what that leaves is shown to nobody either (complementary suppression).
"""

from collections.abc import Mapping, Sequence

from dpmed.core.errors import ConfigError
from dpmed.core.manifest import Attributes, Manifest

COLUMNS = ("site", "scanner", "sex", "age_band")
NOT_KNOWN, SEVERAL = "not known", "several"
SMALLEST = 10
SMALLEST_ALLOWED = 5

Patients = frozenset[str]
Columns = Mapping[str, Mapping[str, Patients]]
Key = tuple[str, str]


def check_smallest(smallest: int) -> None:
    """Raise `ConfigError` for groups that would be small enough to recognise somebody in."""
    if smallest < SMALLEST_ALLOWED:
        raise ConfigError(
            f"results of groups of {smallest} patients would tell of persons",
            hint=f"--smallest-group {SMALLEST_ALLOWED} or more; {SMALLEST} is the default",
        )


def columns_of(manifest: Manifest, patients: Sequence[str]) -> dict[str, dict[str, Patients]]:
    """Every patient in one group of each column of which the manifest knows something."""
    attributes: dict[str, list[Attributes]] = {patient: [] for patient in patients}
    for case in manifest.cases:
        if case.patient in attributes:
            attributes[case.patient].append(case.attributes)
    found = {}
    for column in COLUMNS:
        values = {patient: _value(cases, column) for patient, cases in attributes.items()}
        if set(values.values()) != {NOT_KNOWN}:
            found[column] = {
                value: frozenset(patient for patient, own in values.items() if own == value)
                for value in sorted(set(values.values()))
            }
    return found


def shown_groups(columns: Columns, smallest: int) -> dict[Key, Patients]:
    """The groups of at least `smallest` patients, less those that would tell of a smaller one by subtraction.

    Guarantee: let W be all patients or a shown group, and take from W all shown groups of one column that lie in it.
    What is left is nobody, or at least `smallest` patients. So no group that is left out has a size or a mean that
    follows from W and a column, even if it is known that it is left out.
    """
    groups = {(column, value): members for column, some in columns.items() for value, members in some.items()}
    shown = {key: members for key, members in groups.items() if len(members) >= smallest}
    everybody = frozenset[str]().union(*groups.values())
    if len(everybody) < smallest:
        return {}
    while (telling := _telling(shown, everybody, smallest)) is not None:
        del shown[telling]
    return shown


def _telling(shown: Mapping[Key, Patients], everybody: Patients, smallest: int) -> Key | None:
    """A group to hide because it tells of a small remainder: the smallest, as hiding it costs least."""
    for whole in (everybody, *shown.values()):
        for column in COLUMNS:
            inside = [key for key, members in shown.items() if key[0] == column and members <= whole]
            left = len(whole) - sum(len(shown[key]) for key in inside)
            if inside and 0 < left < smallest:
                return min(inside, key=lambda key: (len(shown[key]), key))
    return None


def _value(cases: Sequence[Attributes], column: str) -> str:
    """A patient's value: that of all their cases which have one."""
    values = {getattr(case, column) for case in cases} - {None}
    if not values:
        return NOT_KNOWN
    return str(values.pop()) if len(values) == 1 else SEVERAL
