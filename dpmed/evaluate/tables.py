"""Results as tables of text: those of the cohort, of groups of patients, and of another run on the same patients."""

from collections.abc import Sequence
from string import ascii_uppercase
from typing import NamedTuple

from dpmed.evaluate import words
from dpmed.evaluate.details import Comparison, Difference, Group, GroupMeasure, Subgroups, Sweep, SweepPoint
from dpmed.evaluate.lines import lines, number, span
from dpmed.evaluate.results import Evaluation

NAMES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "brier": "Brier score",
    "dice_mean": "Dice, mean of regions",
    "dice": "Dice",
    "hd95_mm": "HD95",
    "surface_dice": "surface Dice",
    "lesion_dice": "lesion-wise Dice",
    "lesion_hd95_mm": "lesion-wise HD95",
    "volume_error_abs_ml": "absolute volume error",
}
UNITS = {"hd95_mm": ", mm", "lesion_hd95_mm": ", mm", "volume_error_abs_ml": ", mL"}


class TextTable(NamedTuple):
    """A title, the names of the columns, and the rows."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def main_table(evaluation: Evaluation) -> TextTable:
    """Every number of the run."""
    rows = [(line.measure, line.region, (line.value, line.interval, line.meaning)) for line in lines(evaluation)]
    return _headed(words.title(evaluation), ("measure", "result", "95 % interval", ""), rows)


def group_tables(found: Subgroups, *, names_sites: bool) -> tuple[TextTable, ...]:
    """A table for each measure of some group. Sites are letters unless named; a group of everybody says nothing."""
    sites = [group.value for group in found.groups if group.column == "site" and group.value.startswith("s-")]
    letters = {} if names_sites else {site: _letter(place) for place, site in enumerate(sites)}
    head = ("group", "patients", "result", "95 % interval", "gap", "95 % interval")
    rows: dict[str, list[tuple[str, ...]]] = {measure.measure: [] for one in found.groups for measure in one.measures}
    for group in _apart(found):
        for measure in group.measures:
            if measure.value is not None:
                rows[measure.measure].append(_group_row(group, measure, letters))
    return tuple(TextTable(f"{NAMES[name]} by group", head, tuple(some)) for name, some in rows.items() if some)


def below_groups(found: Subgroups) -> tuple[str, ...]:
    """What must be said under the tables of groups; nothing if the dataset knows no attribute."""
    said = []
    told = [measure for group in _apart(found) for measure in group.measures]
    if told:
        said.append("Gap: this group less all other patients.")
    if any(measure.measure == "auroc" and measure.value is None for measure in told):
        said.append(f"AUROC only where a group has {found.smallest} positive and {found.smallest} negative patients.")
    if found.some_are_too_small:
        said.append(f"Groups of fewer than {found.smallest} patients are not told, nor those that would tell of one.")
    return tuple(said)


def comparison_table(comparison: Comparison) -> TextTable:
    """Both runs beside one another."""
    rows = [
        (NAMES[one.measure] + UNITS.get(one.measure, ""), (one.region or "").replace("_", " "), _numbers(one))
        for one in comparison.differences
    ]
    head = ("measure", "this run", "other run", "difference", "95 % interval", "p")
    return _headed("Beside the other run", head, rows)


def sweep_table(sweep: Sweep) -> TextTable:
    """A row for each run, the most private first."""
    rows = tuple(
        (point.run[:12], *_promise(point), number(point.value), span(point.value_ci)) for point in sweep.points
    )
    return TextTable("What privacy costs", ("run", "epsilon", "delta", NAMES[sweep.measure], "95 % interval"), rows)


def below_comparison(comparison: Comparison) -> tuple[str, ...]:
    """How the runs were compared, and what the other one promises."""
    tests = {one.test for one in comparison.differences}
    return (
        "Difference: this run less the other, on the same patients, who are drawn with both their results. "
        f"p: how often chance alone makes one as large ({', '.join(sorted(tests))}), for each row by itself.",
        *comparison.notes,
        f"The other run. {words.privacy(comparison.statement)}",
    )


def _promise(point: SweepPoint) -> tuple[str, str]:
    return ("none", "") if point.epsilon is None else (f"{point.epsilon:.3f}", f"{point.delta:g}")


def _apart(found: Subgroups) -> list[Group]:
    """The groups that are not all patients."""
    return [group for group in found.groups if any(measure.gap is not None for measure in group.measures)]


def _headed(title: str, head: tuple[str, ...], rows: Sequence[tuple[str, str, tuple[str, ...]]]) -> TextTable:
    """Rows of measure, region and cells: several regions under a heading for each measure, one as the table's own."""
    regions = {region for _, region, _ in rows} - {""}
    if len(regions) < 2:
        plain = tuple((measure, *cells) for measure, _, cells in rows)
        return TextTable(title, (*regions, *head[1:]) if regions else head, plain)
    found: list[tuple[str, ...]] = []
    before = ""
    for measure, region, cells in rows:
        if region and measure != before:
            found.append((measure, *[""] * len(cells)))
        found.append((f"  {region}" if region else measure, *cells))
        before = measure
    return TextTable(title, head, tuple(found))


def _group_row(group: Group, measure: GroupMeasure, letters: dict[str, str]) -> tuple[str, ...]:
    return (
        f"{group.column.replace('_', ' ')} {letters.get(group.value, group.value)}",
        f"{group.patients}",
        number(measure.value),
        span(measure.value_ci),
        f"{measure.gap:+.3f}" if measure.gap is not None else "",
        span(measure.gap_ci),
    )


def _numbers(one: Difference) -> tuple[str, ...]:
    digits = 1 if one.measure in UNITS else 3
    return (
        f"{one.this:.{digits}f}",
        f"{one.other:.{digits}f}",
        f"{one.difference:+.{digits}f}",
        span(one.difference_ci, digits=digits),
        "" if one.p is None else f"{one.p:.3f}" if one.p >= 0.001 else "< 0.001",
    )


def _letter(place: int) -> str:
    return ascii_uppercase[place] if place < len(ascii_uppercase) else f"{place + 1}"
