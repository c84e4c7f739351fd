"""`dpmed epsilon`: what was spent, what a run would cost, what a target needs, and what it means."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Output
from dpmed.core.choices import Accountant
from dpmed.core.errors import ConfigError

if TYPE_CHECKING:
    from dpmed.privacy.account import Account, Counting
    from dpmed.privacy.explain import Explained
    from dpmed.privacy.numbers import Numbers

FORMS = "give RUN, --data, --plan with --data, or --sample-rate --noise-multiplier --steps --delta"
MEANING, TARGETS, COUNTING = "What it means", "Bare numbers", "How it is counted"
Neighbours = Literal["add-or-remove-one", "replace-one", "zero-out"]


def epsilon(
    runs: Annotated[list[Path] | None, typer.Argument(metavar="[RUN]...", help="Run folders; several add up.")] = None,
    data: Annotated[Path | None, typer.Option(help="A dataset: what it spent in its life.")] = None,
    plan: Annotated[str | None, typer.Option(metavar="RECIPE", help="With --data: what a run would cost.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="With --plan.")] = None,
    set_lifetime_epsilon: Annotated[
        float | None, typer.Option(help="With --data and --delta: the most this dataset may ever spend.")
    ] = None,
    inherit: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="With --data: take over what an earlier dataset of its patients has spent."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Recompute by three accountants; replay the ledgers.")
    ] = False,
    delta: Annotated[float | None, typer.Option(help="Should be well below 1/patients.")] = None,
    sample_rate: Annotated[
        float | None, typer.Option(rich_help_panel=TARGETS, help="Probability that a patient is in a step.")
    ] = None,
    noise_multiplier: Annotated[
        float | None, typer.Option(rich_help_panel=TARGETS, help="Noise over clip norm.")
    ] = None,
    steps: Annotated[int | None, typer.Option(rich_help_panel=TARGETS, help="How many steps.")] = None,
    target_epsilon: Annotated[
        float | None,
        typer.Option(rich_help_panel=TARGETS, help="Find the one of the three above that is left out."),
    ] = None,
    patients: Annotated[int | None, typer.Option(rich_help_panel=TARGETS, help="Size of the cohort.")] = None,
    truncate_at: Annotated[
        int | None, typer.Option(rich_help_panel=TARGETS, help="Larger draws are cut to so many patients.")
    ] = None,
    bands: Annotated[
        int, typer.Option(rich_help_panel=TARGETS, help="Of bandmf: patients are in so many groups, drawn in turn.")
    ] = 1,
    accountant: Annotated[str, typer.Option(rich_help_panel=COUNTING, help="pld (reported), prv or rdp.")] = "pld",
    neighbouring: Annotated[
        str, typer.Option(rich_help_panel=COUNTING, help="add-or-remove-one (reported), replace-one or zero-out.")
    ] = "add-or-remove-one",
    explain: Annotated[
        bool, typer.Option("--explain", rich_help_panel=MEANING, help="The best attacks left, and other choices.")
    ] = False,
    prior: Annotated[
        float, typer.Option(rich_help_panel=MEANING, help="Chance of guessing a record without the model.")
    ] = 1e-4,
    tuning_runs: Annotated[
        float | None,
        typer.Option(rich_help_panel=MEANING, help="Tries on these patients, on average, of which the best was kept."),
    ] = None,
    images_per_patient: Annotated[
        int | None,
        typer.Option(rich_help_panel=MEANING, help="A patient's epsilon if images, not patients, were drawn."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(rich_help_panel=MEANING, metavar="FILE", help="Draw it as PNG, SVG or PDF.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say what privacy was spent, what a run would cost, or what noise a target needs."""
    output = Output("epsilon", json=json, quiet=quiet, verbose=verbose)
    from dpmed.core.folders import RunFolder
    from dpmed.privacy.account import Counting, verified
    from dpmed.privacy.numbers import Numbers

    _require_place(plot)
    by = Counting(
        delta=_delta(delta),
        accountant=_one_of(accountant, get_args(Accountant), "accountant"),
        neighbouring=_one_of(neighbouring, get_args(Neighbours), "neighbouring relation"),
    )
    numbers = Numbers(
        sample_rate=sample_rate,
        noise_multiplier=noise_multiplier,
        steps=steps,
        target_epsilon=target_epsilon,
        patients=patients,
        truncate_at=truncate_at,
        bands=bands,
    )
    folders = [RunFolder(run) for run in runs or ()]
    forms = (bool(folders), data is not None, numbers != Numbers())
    if sum(forms) != 1:
        raise ConfigError("this is not one of the forms of dpmed epsilon", hint=FORMS)
    if data is None and (plan is not None or set_lifetime_epsilon is not None or inherit is not None):
        raise ConfigError("--plan, --inherit and --set-lifetime-epsilon need the dataset", hint="add --data DIR")
    if data is not None:
        if inherit is not None:
            _inherit(data, inherit)
        if set_lifetime_epsilon is not None:
            _set_limit(data, set_lifetime_epsilon, by)
        found = _of_data(data, plan, set_, by)
    else:
        found = _of_runs_or_numbers(folders, numbers, by)
    if verify:
        _require_checkpoints_paid(folders)
        found = verified(found, folders)
    more = None
    if explain or tuning_runs is not None or images_per_patient is not None or plot is not None:
        from dpmed.privacy.explain import explained

        more = explained(
            found, explain=explain, prior=prior, tuning_runs=tuning_runs, images_per_patient=images_per_patient
        )
    _answer(output, found, more, plot, target_epsilon)


def _require_checkpoints_paid(folders: list[Any]) -> None:
    """A ledger that lost lines at its end is a whole chain still: where the checkpoint is at hand, it tells."""
    from dpmed.privacy.ledger import Ledger

    for folder in (folder for folder in folders if folder.ledger.exists() and folder.state.exists()):
        from dpmed.engine.checkpoint import paid_checkpoint

        paid_checkpoint(folder, Ledger(folder.ledger))


def _of_runs_or_numbers(folders: list[Any], numbers: "Numbers", by: "Counting") -> "Account":
    from dpmed.privacy.account import of_trained
    from dpmed.privacy.numbers import of_numbers

    return of_trained(folders, by) if folders else of_numbers(numbers, by)


def _of_data(data: Path, plan: str | None, settings: list[str] | None, by: "Counting") -> "Account":
    from dpmed.core.folders import DatasetFolder
    from dpmed.core.recipe import load_recipe
    from dpmed.privacy.account import of_dataset, of_plan

    if plan is None:
        return of_dataset(DatasetFolder(data), by)
    own = [] if by.delta is None else [f"privacy.delta={by.delta}"]
    return of_plan(load_recipe(plan, settings=[*(settings or ()), *own]), data, by)


def _answer(
    output: Output, found: "Account", more: "Explained | None", plot: Path | None, target: float | None
) -> None:
    from dpmed.cli.epsilon_view import as_table, as_values

    payload = as_values(found, more)
    output.show(as_table(found, more, payload))
    if plot is not None:
        from dpmed.privacy.charts import draw

        assert more is not None, "a plot asks for what it shows"
        draw(found, more, plot, limit=target if found.limit is None else found.limit.epsilon)
        output.say(f"drawn: {plot}")
    output.finish(payload)


def _one_of(name: str, known: tuple[Any, ...], what: str) -> Any:
    if name in known:
        return name
    hint = "pld is the number to report; the Gaussian (CLT) accountant understates and is not offered"
    raise ConfigError(
        f"no {what} of that name; choose one of {', '.join(known)}",
        hint=hint if what == "accountant" else "dpmed epsilon --help says which is which",
    )


def _delta(delta: float | None) -> float | None:
    if delta is not None and not 0 < delta < 1:
        raise ConfigError(f"delta {delta:g} is not between 0 and 1", hint="less than 1/patients, for example 1e-5")
    return delta


def _require_place(plot: Path | None) -> None:
    if plot is not None and plot.suffix not in {".png", ".svg", ".pdf"}:
        raise ConfigError("a chart is a .png, .svg or .pdf file", hint="for example --plot epsilon.png")


def _inherit(data: Path, earlier: Path) -> None:
    from dpmed.core.folders import DatasetFolder
    from dpmed.core.manifest import Manifest
    from dpmed.privacy.budget import Budget

    for folder in (data, earlier):
        Manifest.load(folder)
    if data.resolve() == earlier.resolve():
        raise ConfigError("a dataset cannot take over its own account", hint="--inherit names the earlier dataset")
    Budget(DatasetFolder(data)).inherit(Budget(DatasetFolder(earlier)))


def _set_limit(data: Path, limit: float, by: "Counting") -> None:
    from dpmed.core.folders import DatasetFolder
    from dpmed.privacy.budget import Budget

    if by.delta is None or not limit > 0:
        raise ConfigError("a lifetime budget needs an epsilon above 0 and a --delta", hint="for example --delta 1e-4")
    Budget(DatasetFolder(data)).set_limit(limit, by.delta)
