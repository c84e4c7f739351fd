"""`dpmed epsilon`: what was spent, what a run would cost, what noise a target needs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Output
from dpmed.core.errors import ConfigError

if TYPE_CHECKING:
    from dpmed.core.specs import Accountant
    from dpmed.privacy.account import Account

ACCOUNTANTS = ("pld", "prv", "rdp")
FORMS = "give RUN, --data, --plan with --data, or --sample-rate --noise-multiplier --steps --delta"
WORDS = (
    "Epsilon {epsilon:.4f} at delta {delta:g}, per patient with all scans, add-or-remove-one, by the {accountant} "
    "accountant, if every step draws patients by Poisson sampling. It covers what was trained; it does not cover "
    "metrics on held-out patients or other releases about the same patients."
)


def epsilon(
    runs: Annotated[list[Path] | None, typer.Argument(metavar="[RUN]...", help="Run folders; several add up.")] = None,
    data: Annotated[Path | None, typer.Option(help="A dataset: what it spent in its life.")] = None,
    plan: Annotated[str | None, typer.Option(metavar="RECIPE", help="With --data: what a run would cost.")] = None,
    sample_rate: Annotated[float | None, typer.Option(help="Probability that a patient is in a step.")] = None,
    noise_multiplier: Annotated[float | None, typer.Option(help="Noise over clip norm.")] = None,
    steps: Annotated[int | None, typer.Option(help="How many steps.")] = None,
    delta: Annotated[float | None, typer.Option(help="Should be less than 1/patients.")] = None,
    target_epsilon: Annotated[float | None, typer.Option(help="Find the noise multiplier for this epsilon.")] = None,
    accountant: Annotated[str, typer.Option(help="pld (reported), prv or rdp.")] = "pld",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="With --plan.")] = None,
    set_lifetime_epsilon: Annotated[
        float | None, typer.Option(help="With --data and --delta: the most this dataset may ever spend.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Recompute by three accountants; replay the ledgers.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say what privacy was spent, what a run would cost, or what noise a target needs."""
    output = Output("epsilon", json=json, quiet=quiet, verbose=verbose)
    by = _accountant(accountant)
    from dpmed.core.folders import DatasetFolder, RunFolder
    from dpmed.core.recipe import load_recipe
    from dpmed.privacy import account as accounts

    folders = [RunFolder(run) for run in runs or ()]
    numbers = (sample_rate, noise_multiplier, steps, target_epsilon)
    if sum((bool(folders), data is not None, any(number is not None for number in numbers))) != 1:
        raise ConfigError("this is not one of the forms of dpmed epsilon", hint=FORMS)
    if data is None and (plan is not None or set_lifetime_epsilon is not None):
        raise ConfigError("--plan and --set-lifetime-epsilon need the dataset", hint="add --data DIR")
    if folders:
        found = accounts.of_trained(folders, delta=_delta(delta), accountant=by)
    elif data is None:
        found = _of_numbers(sample_rate, noise_multiplier, steps, delta, target_epsilon, by)
    elif plan is not None:
        found = accounts.of_plan(load_recipe(plan, settings=_with_delta(set_, delta)), data, accountant=by)
    else:
        if set_lifetime_epsilon is not None:
            _set_limit(data, set_lifetime_epsilon, delta)
        found = accounts.of_dataset(DatasetFolder(data), delta=_delta(delta), accountant=by)
    _show(output, accounts.verified(found, folders) if verify else found)


def _accountant(name: str) -> "Accountant":
    for known in ACCOUNTANTS:
        if name == known:
            return known  # type: ignore[return-value]
    hint = "pld is the number to report; the Gaussian (CLT) accountant understates and is not offered"
    raise ConfigError(f"no accountant of that name; choose one of {', '.join(ACCOUNTANTS)}", hint=hint)


def _delta(delta: float | None) -> float | None:
    if delta is not None and not 0 < delta < 1:
        raise ConfigError(f"delta {delta:g} is not between 0 and 1", hint="less than 1/patients, for example 1e-5")
    return delta


def _with_delta(settings: list[str] | None, delta: float | None) -> list[str]:
    return [*(settings or ()), *([] if delta is None else [f"privacy.delta={delta}"])]


def _set_limit(data: Path, limit: float, delta: float | None) -> None:
    from dpmed.core.folders import DatasetFolder
    from dpmed.privacy.budget import Budget

    if _delta(delta) is None or not limit > 0:
        raise ConfigError("a lifetime budget needs an epsilon above 0 and a --delta", hint="for example --delta 1e-4")
    assert delta is not None, "checked above"
    Budget(DatasetFolder(data)).set_limit(limit, delta)


def _of_numbers(
    rate: float | None,
    noise: float | None,
    steps: int | None,
    delta: float | None,
    target: float | None,
    accountant: "Accountant",
) -> "Account":
    from dpmed.privacy.account import of_runs
    from dpmed.privacy.accounting import MechanismRun, noise_multiplier_for

    if rate is None or steps is None or _delta(delta) is None or (noise is None) == (target is None):
        hint = "add --noise-multiplier S, or --target-epsilon E to find it"
        raise ConfigError("numbers need --sample-rate, --steps, --delta and one more", hint=hint)
    wrong = {"--sample-rate": 0 < rate <= 1, "--steps": steps >= 1, "--target-epsilon": target is None or target > 0}
    wrong["--noise-multiplier"] = noise is None or noise > 0
    for option, is_right in wrong.items():
        if not is_right:
            raise ConfigError(f"{option} is out of range", hint="rate in (0, 1], steps at least 1, the others above 0")
    assert delta is not None, "checked above"
    if target is not None:
        noise = noise_multiplier_for(target, delta=delta, sample_rate=rate, steps=steps)
    assert noise is not None, "checked above"
    run = MechanismRun(sample_rate=rate, noise_multiplier=noise, steps=steps)
    return of_runs("these numbers", [run], delta=delta, accountant=accountant)


def _show(output: Output, account: "Account") -> None:
    first = account.runs[0] if account.runs else None
    same = first is not None and all(
        (run.sample_rate, run.noise_multiplier) == (first.sample_rate, first.noise_multiplier) for run in account.runs
    )
    steps = sum(run.steps for run in account.runs)
    payload: dict[str, Any] = account.model_dump(mode="json") | {
        "noise_multiplier": first.noise_multiplier if first and same else None,
        "sample_rate": first.sample_rate if first and same else None,
        "steps": steps,
    }
    output.show(_table(account, payload))
    output.finish(payload)


def _table(account: "Account", payload: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    table.add_row("what", account.what)
    table.add_row("epsilon", "none: no guarantee" if account.epsilon is None else f"{account.epsilon:.4f}")
    table.add_row("delta", f"{account.delta:g}")
    for name in ("noise_multiplier", "sample_rate", "steps"):
        table.add_row(name.replace("_", " "), "several" if payload[name] is None else f"{payload[name]:g}")
    if account.limit is not None:
        table.add_row("lifetime budget", f"{account.limit.epsilon:g} at delta {account.limit.delta:g}")
    if account.verified:
        opinions = ", ".join(f"{name.upper()} {value:.4f}" for name, value in account.second_opinions.items())
        table.add_row("verified", f"ledger chain and accountants agree (Opacus: {opinions})")
    words = "" if account.epsilon is None else WORDS.format(**payload | {"accountant": account.accountant.upper()})
    warning = "" if account.valid else f"NOT VALID: {account.why_invalid}"
    return Group(table, *(text for text in (words, warning) if text))
