"""Pictures of a privacy budget: epsilon over steps, noise against batch, the best attack."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dpmed.core.files import written_aside
from dpmed.privacy.account import Account
from dpmed.privacy.accounting import privacy_loss
from dpmed.privacy.explain import Explained
from dpmed.privacy.meaning import receiver_curve
from dpmed.privacy.mechanisms import MechanismRun
from dpmed.privacy.planning import Batch
from dpmed.privacy.planning import batches as planned

POINTS = 25
BLUE, RED, GREY = "#0072B2", "#D55E00", "#666666"
COARSE = 1e-3
STYLES = ("o:", "o-", "o--")
"""Fewer steps, the account's own, more."""
FORMATS = (".png", ".svg", ".pdf")


def draw(account: Account, explained: Explained, path: Path, *, limit: float | None = None) -> None:
    """Write a chart in the format of `path`: one panel; with batches to compare two more, with attacks another.

    `limit` is the epsilon that may not be passed.
    """
    plans = _plans(account, explained.batches) if explained.batches else {}
    count = 1 + (2 if plans else 0) + (explained.attacks is not None)
    rows = 2 if count == 4 else 1
    figure = Figure(figsize=(5.2 * count / rows, 4.2 * rows), layout="constrained")
    axes = iter(np.ravel(figure.subplots(rows, count // rows, squeeze=False)))
    _over_steps(next(axes), account, limit)
    if plans:
        _noise_against_batch(next(axes), account, plans)
        _signal_against_batch(next(axes), account, plans)
    if explained.attacks is not None:
        _attack(next(axes), account)
    with written_aside(path) as aside:
        figure.savefig(aside, format=path.suffix.removeprefix("."), dpi=150, metadata=_undated(path))


def spent_over_steps(runs: Sequence[MechanismRun], delta: float) -> tuple[list[int], list[float]]:
    """Steps and the epsilon spent after them, run after run."""
    total = sum(run.steps for run in runs)
    steps = sorted({math.ceil(total * share) for share in np.linspace(0, 1, POINTS)} - {0})
    return [0, *steps], [0.0, *(_spent(runs, count, delta) for count in steps)]


def _spent(runs: Sequence[MechanismRun], steps: int, delta: float) -> float:
    taken = []
    for run in runs:
        if steps > 0:
            taken.append(run.model_copy(update={"steps": min(run.steps, steps)}))
        steps -= run.steps
    return float(privacy_loss(taken, interval=COARSE if len(runs) == 1 else 1e-4).get_epsilon(delta))


def _over_steps(axes: Axes, account: Account, limit: float | None) -> None:
    steps, spent = spent_over_steps(account.runs, account.delta)
    axes.plot(steps, spent, color=BLUE)
    for end in np.cumsum([run.steps for run in account.runs])[:-1]:
        axes.axvline(end, color=GREY, linewidth=0.8, linestyle=":")
    if limit is not None:
        axes.axhline(limit, color=RED, linestyle="--")
        axes.annotate(f"budget {limit:g}", (0, limit), xytext=(4, -12), textcoords="offset points", color=RED)
    title = f"Epsilon per patient: {account.epsilon:.2f}"
    axes.set(xlabel="step", ylabel=f"epsilon at delta {account.delta:g}", title=title, ylim=(0, None))
    axes.margins(x=0.02)


def _plans(account: Account, batches: Sequence[Batch]) -> dict[int, Sequence[Batch]]:
    """Expected batches at the account's own epsilon, for its own steps and for a quarter and four times as many."""
    run, patients = account.single, account.patients
    assert run is not None and patients is not None and account.epsilon, "batches are of one run of a known cohort"
    few, many = (
        planned(target=account.epsilon, delta=account.delta, steps=steps, patients=patients)
        for steps in (max(1, run.steps // 4), 4 * run.steps)
    )
    return {few[0].steps: few, run.steps: batches, many[0].steps: many}


def _noise_against_batch(axes: Axes, account: Account, plans: dict[int, Sequence[Batch]]) -> None:
    for style, (steps, batches) in zip(STYLES, plans.items(), strict=True):
        sizes = [batch.expected_batch_size for batch in batches]
        axes.plot(sizes, [batch.noise_multiplier for batch in batches], style, color=BLUE, label=f"{steps} steps")
    axes.set(yscale="log", ylabel="noise multiplier", title=f"Noise that keeps epsilon at {account.epsilon:.2f}")
    noises = [batch.noise_multiplier for batches in plans.values() for batch in batches]
    _plan(axes, account, plans, lambda run, _: run.noise_multiplier, noises)


def _signal_against_batch(axes: Axes, account: Account, plans: dict[int, Sequence[Batch]]) -> None:
    for style, (steps, batches) in zip(STYLES, plans.items(), strict=True):
        sizes = [batch.expected_batch_size for batch in batches]
        axes.plot(sizes, [batch.signal_to_noise for batch in batches], style, color=BLUE, label=f"{steps} steps")
    axes.set(yscale="log", ylabel="signal to noise of the whole run", title="Worth of other batches, same epsilon")
    signals = [batch.signal_to_noise for batches in plans.values() for batch in batches]
    _plan(axes, account, plans, lambda run, own: math.sqrt(run.steps) * own / run.noise_multiplier, signals)


def _plan(
    axes: Axes,
    account: Account,
    plans: dict[int, Sequence[Batch]],
    height: Callable[[MechanismRun, float], float],
    values: Sequence[float],
) -> None:
    """What both planning panels share: a logarithmic batch axis in whole patients, and a ring around the account."""
    run, patients = account.single, account.patients
    assert run is not None and patients is not None, "checked before"
    own = run.sample_rate * patients
    axes.plot(
        [own], [height(run, own)], "o", color=RED, markersize=10, fillstyle="none", linestyle="none", label="this"
    )
    sizes = [batch.expected_batch_size for batch in plans[run.steps]]
    ticks = np.geomspace(min(values), max(values), 6)
    axes.set(xscale="log", xlabel=f"expected batch, of {patients} patients")
    axes.minorticks_off()
    axes.set_xticks(sizes, [f"{size}" for size in sizes])
    axes.set_yticks(ticks, [f"{tick:.2g}" if tick < 10 else f"{tick:.0f}" for tick in ticks])
    axes.legend(frameon=False)


def _attack(axes: Axes, account: Account) -> None:
    false, true = receiver_curve(account.runs, neighbouring=account.neighbouring)
    axes.semilogx(false, true, color=BLUE, label="the best attacker")
    axes.semilogx(false, false, color=GREY, linestyle=":", label="guessing")
    axes.legend(frameon=False, loc="upper left")
    axes.set_xticks(ticks := [1e-4, 1e-3, 1e-2, 0.1, 1.0], [f"{100 * tick:g}%" for tick in ticks])
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set(
        xlabel="false positives", ylabel="true positives, at most", title="Best attack: did this patient take part?"
    )


def _undated(path: Path) -> dict[str, None]:
    """The same picture twice is the same file."""
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix, {})
