"""Pictures of a privacy budget: epsilon over steps, noise against batch, the best attack."""

import math
from collections.abc import Sequence
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

POINTS = 25
BLUE, RED, GREY = "#0072B2", "#D55E00", "#666666"
COARSE = 1e-3
FORMATS = (".png", ".svg", ".pdf")


def draw(account: Account, explained: Explained, path: Path, *, limit: float | None = None) -> None:
    """Write a chart in the format of `path`: one panel, with batches to compare two, with attacks three.

    `limit` is the epsilon that may not be passed.
    """
    panels = [True, bool(explained.batches), explained.attacks is not None]
    figure = Figure(figsize=(5.2 * sum(panels), 4.2), layout="constrained")
    axes = iter(np.ravel(figure.subplots(1, sum(panels), squeeze=False)))
    _over_steps(next(axes), account, limit)
    if explained.batches:
        _against_batch(next(axes), account, explained.batches)
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
    axes.annotate(
        f"{account.epsilon:.2f}",
        (steps[-1], spent[-1]),
        xytext=(-6, -24),
        textcoords="offset points",
        ha="right",
        color=BLUE,
    )
    axes.set(xlabel="step", ylabel=f"epsilon at delta {account.delta:g}", title="Spent per patient", ylim=(0, None))
    axes.margins(x=0.02)


def _against_batch(axes: Axes, account: Account, batches: Sequence[Batch]) -> None:
    sizes = [batch.expected_batch_size for batch in batches]
    noises = [batch.noise_per_patient for batch in batches]
    axes.loglog(sizes, noises, "o-", color=BLUE)
    axes.set_yticks(ticks := np.geomspace(min(noises), max(noises), 5), [f"{tick:.2g}" for tick in ticks])
    run = account.single
    assert run is not None and account.patients is not None, "batches are compared for one run of a known cohort"
    own = run.sample_rate * account.patients
    axes.loglog([own], [run.noise_multiplier / own], "o", color=RED, markersize=9, fillstyle="none")
    for batch in batches:
        axes.annotate(
            f"{batch.noise_multiplier:.2f}",
            (batch.expected_batch_size, batch.noise_per_patient),
            xytext=(4, 5),
            textcoords="offset points",
            fontsize=8,
            color=GREY,
        )
    axes.set_xticks(sizes, [f"{size}" for size in sizes])
    axes.minorticks_off()
    axes.set(
        xlabel=f"expected batch, of {account.patients} patients (numbers: noise multiplier)",
        ylabel="noise in the mean gradient, in clip norms",
        title=f"Same epsilon {account.epsilon:.2f}, {run.steps} steps",
    )


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
