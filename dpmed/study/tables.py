"""The rows of a study as tables of text: the same on the terminal and on the page."""

from pathlib import PurePath

from dpmed.evaluate.lines import span
from dpmed.evaluate.tables import TextTable
from dpmed.study.charts import frontier, gains, gains_epsilon
from dpmed.study.plan import epsilon_text
from dpmed.study.result import Row, StudyResult
from dpmed.study.verdict import verdict


def frontier_table(result: StudyResult) -> TextTable:
    """The variants that were run at several epsilons, with what of the run without privacy is left."""
    head = ("variant", "epsilon", result.metric, "95 % interval", "of no privacy", "seeds", "CPU s")
    lines = frontier(result)
    without = {name: row.value for name, rows in lines.items() for row in rows if row.epsilon is None}
    rows = [_frontier_row(row, without.get(row.variant)) for rows in lines.values() for row in rows]
    return TextTable(f"{result.metric} by epsilon per patient, at delta {result.delta:g}", head, tuple(rows))


def gains_table(result: StudyResult) -> TextTable:
    """Every variant beside the base at one epsilon, what did not help too."""
    rows = gains(result)
    base = [row for row in result.rows if row.variant == result.base and rows and row.epsilon == rows[0].epsilon]
    head = ("variant", result.metric, "gain", "95 % interval", "", "seeds", "CPU s")
    title = f"{result.metric} beside {result.base}{f', {privacy_words(rows[0].epsilon)}' if rows else ''}"
    return TextTable(title, head, tuple(_gain_row(row) for row in (*base, *rows)))


def other_table(result: StudyResult) -> TextTable:
    """The rows that are in none of the two."""
    told = {id(row) for row in (*(row for rows in frontier(result).values() for row in rows), *gains(result))}
    base = {result.base} if gains(result) else set()
    left = [row for row in result.rows if id(row) not in told and row.variant not in base]
    head = ("variant", "epsilon", result.metric, "95 % interval", "gain", "95 % interval", "seeds", "CPU s")
    return TextTable("Others", head, tuple(_other_row(row) for row in left))


def variants_table(result: StudyResult) -> TextTable:
    """What each variant is: its keys beside the recipe's; its noise at the epsilon where variants are compared."""
    head = ("variant", "", "batch of patients", "steps", "noise", "keys")
    rows = {row.variant: row for row in sorted(result.rows, key=lambda row: row.epsilon == gains_epsilon(result))}
    return TextTable("Variants", head, tuple(_variant_row(rows[name]) for name in rows))


def privacy_words(epsilon: float | None) -> str:
    """At which epsilon, in words."""
    return "without privacy" if epsilon is None else f"at epsilon {epsilon:g}"


def _variant_row(row: Row) -> tuple[str, ...]:
    keys = [f"{key}={value}" for key, value in row.settings.items()]
    keys += [f"init={PurePath(row.init).name}"] if row.init is not None else []
    batch, noise = f"{row.expected_batch_size} of {row.train_patients}", _noise(row)
    return row.variant, row.about, batch, str(row.steps), noise, ", ".join(f"`{key}`" for key in keys)


def _noise(row: Row) -> str:
    """Noise over the clip norm, and the epsilon that the runs' statements say."""
    return "" if row.epsilon_spent is None else f"{row.noise_multiplier:.2f} (epsilon {row.epsilon_spent:.2f})"


def _frontier_row(row: Row, without: float | None) -> tuple[str, ...]:
    share = f"{row.value - without:+.3f}, {100 * row.value / without:.0f} %" if without and row.epsilon else ""
    return (row.variant, _epsilon(row), *_value(row), share, *_effort(row))


def _gain_row(row: Row) -> tuple[str, ...]:
    said = "" if row.gain is None else verdict(row)
    return (row.variant, f"{row.value:.3f}", *_gain(row), said, *_effort(row))


def _other_row(row: Row) -> tuple[str, ...]:
    return (row.variant, _epsilon(row), *_value(row), *_gain(row), *_effort(row))


def _epsilon(row: Row) -> str:
    return "none" if row.epsilon is None else epsilon_text(row.epsilon)


def _value(row: Row) -> tuple[str, str]:
    return f"{row.value:.3f}", span(row.value_ci)


def _gain(row: Row) -> tuple[str, str]:
    if row.gain is None:
        return "", ""
    return f"{row.gain:+.3f}", "" if row.gain_ci is None else f"{row.gain_ci[0]:+.3f} to {row.gain_ci[1]:+.3f}"


def _effort(row: Row) -> tuple[str, str]:
    return str(row.seeds), f"{row.cpu_seconds:.0f}"
