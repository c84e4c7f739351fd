"""How an account is shown: a table, what it means, and one JSON object."""

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table

from dpmed.privacy.account import Account
from dpmed.privacy.accounting import in_numbers

if TYPE_CHECKING:
    from dpmed.privacy.explain import Explained
    from dpmed.privacy.planning import Batch, Choice

WORDS = (
    "Epsilon {epsilon:.4f} at delta {delta:g}, per patient with all scans, {neighbouring}, by the {accountant} "
    "accountant, if every step draws patients by {sampling} sampling. It covers what was trained; it does not "
    "cover metrics on held-out patients or other releases about the same patients."
)
TUNED = (
    "If the best of {runs:g} tries on average was kept, with a number of tries that was drawn at random (geometric) "
    "and kept secret, epsilon is {epsilon:.3f} (RDP, Papernot and Steinke 2022). A fixed number costs the sum of all."
)
IMAGES = (
    "If images were drawn and clipped one by one at this rate, a patient with {count} of them would have epsilon "
    "{epsilon:.3f}. dpmed draws patients."
)


def as_values(account: Account, more: "Explained | None") -> dict[str, Any]:
    """The JSON object: the account, the numbers that all steps share, and what was asked for beside."""
    first = account.runs[0] if account.runs else None
    same = first is not None and all(
        (run.sample_rate, run.noise_multiplier) == (first.sample_rate, first.noise_multiplier) for run in account.runs
    )
    return (
        account.model_dump(mode="json")
        | {
            "noise_multiplier": first.noise_multiplier if first and same else None,
            "sample_rate": first.sample_rate if first and same else None,
            "steps": sum(run.steps for run in account.runs),
        }
        | (more.model_dump(mode="json") if more else {})
    )


def as_table(account: Account, more: "Explained | None", values: dict[str, Any]) -> RenderableType:
    """What is shown on a terminal."""
    parts: list[RenderableType] = [_numbers(account, values)]
    if account.epsilon is not None:
        sampling = " or ".join(dict.fromkeys(run.sampling for run in account.runs)) or "Poisson"
        parts.append(WORDS.format(**values | {"accountant": account.accountant.upper(), "sampling": sampling}))
    if not account.valid:
        parts.append(f"NOT VALID: {account.why_invalid}")
    parts += [f"WARNING: {warning}" for warning in account.warnings]
    return Group(*parts, *(_more(account, more) if more else ()))


def _numbers(account: Account, values: dict[str, Any]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("what", account.what)
    table.add_row("epsilon", "none: no guarantee" if account.epsilon is None else f"{account.epsilon:.4f}")
    table.add_row("delta", f"{account.delta:g}")
    for name in ("noise_multiplier", "sample_rate", "steps"):
        table.add_row(name.replace("_", " "), "several" if values[name] is None else f"{values[name]:g}")
    if account.patients is not None:
        table.add_row("patients", f"{account.patients}")
        if account.single is not None:
            run = account.single
            table.add_row("expected batch", f"{run.sample_rate * account.patients / run.bands:.4g}")
    if account.limit is not None:
        table.add_row("lifetime budget", f"{account.limit.epsilon:g} at delta {account.limit.delta:g}")
    if account.verified:
        opinions = in_numbers(account.second_opinions, digits=4)
        table.add_row("verified", f"ledger chain and accountants agree (Opacus: {opinions})")
    return table


def _more(account: Account, more: "Explained") -> list[RenderableType]:
    from dpmed.privacy.meaning import in_words

    parts: list[RenderableType] = []
    if more.attacks is not None:
        parts += ["", in_words(more.attacks)]
    if more.tuned_epsilon is not None:
        parts += ["", TUNED.format(runs=more.tuning_runs, epsilon=more.tuned_epsilon)]
    if more.image_sampling_epsilon is not None:
        parts += ["", IMAGES.format(count=more.images_per_patient, epsilon=more.image_sampling_epsilon)]
    if more.choices:
        parts += ["", _choices(more.choices)]
    if more.batches:
        parts += ["", _batches(account, more.batches)]
    return parts


def _choices(choices: "tuple[Choice, ...]") -> Table:
    table = Table(title="What a board can choose: the same run at another epsilon", title_justify="left")
    for name in ("epsilon", "noise multiplier", "found at 0.1 % false", "found at 1 % false", "right at most"):
        table.add_column(name, justify="right")
    for choice in choices:
        rates = choice.attacks.tpr_at_fpr
        table.add_row(
            f"{choice.epsilon:g}",
            f"{choice.noise_multiplier:.3f}",
            f"{rates['0.001']:.2%}",
            f"{rates['0.01']:.1%}",
            f"{choice.attacks.balanced_accuracy:.1%}",
        )
    return table


def _batches(account: Account, batches: "tuple[Batch, ...]") -> Table:
    steps = account.runs[0].steps
    table = Table(title=f"The same epsilon in {steps} steps with other batches", title_justify="left")
    for name in ("expected batch", "sample rate", "noise multiplier", "noise in the mean gradient"):
        table.add_column(name, justify="right")
    for batch in batches:
        table.add_row(
            f"{batch.expected_batch_size}",
            f"{batch.sample_rate:.4g}",
            f"{batch.noise_multiplier:.3f}",
            f"{batch.noise_per_patient:.4f} clip norms",
        )
    table.caption = "Less noise in the mean is a better model at the same epsilon; more patients a step take longer."
    return table
