"""`dpmed pretrain`: parse, make public weights, show."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpmed.cli.dry_run import as_table
from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Meter, Output
from dpmed.cli.train import stopping_gently
from dpmed.core.choices import Device, Pretraining
from dpmed.core.errors import ConfigError
from dpmed.core.events import Note, Progress, StepDone

if TYPE_CHECKING:
    from dpmed.pretrain import PretrainDone, PretrainRequest

PUBLIC = "no noise and no clipping: whoever is in this data can be found in the weights, so it has to be public"


def pretrain(
    recipe: Annotated[str, typer.Argument(help="A name from `dpmed recipes`, or a TOML file.")],
    out: Annotated[Path, typer.Option(help="The weights to write (.safetensors); FILE.json beside it says of what.")],
    data: Annotated[
        Path | None,
        typer.Option(help="A dataset of `dpmed ingest` that you declare public. Default: generated phantoms."),
    ] = None,
    method: Annotated[
        Pretraining,
        typer.Option(help="Learn from labels or masks; from images alone; or only where features are centred."),
    ] = "supervised",
    init: Annotated[Path | None, typer.Option(help="Start from these public weights (safetensors).")] = None,
    steps: Annotated[int | None, typer.Option(help="How many steps.")] = None,
    device: Annotated[Device | None, typer.Option(help="Where to train; auto takes cuda if there is one.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change any recipe key.")] = None,
    seed: Annotated[int, typer.Option(help="Governs initial weights, the order of patients, and phantoms.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Make weights from PUBLIC scans, without privacy, for `dpmed train --init` to start from."""
    output = Output("pretrain", json=json, quiet=quiet, verbose=verbose)
    options = {"hardware.device": device, "privacy.steps": steps}
    settings = [*(set_ or ()), *(f"{key}={value}" for key, value in options.items() if value is not None)]
    from dpmed.core.recipe import load_recipe

    loaded = load_recipe(recipe, settings=settings)
    if out.suffix != ".safetensors" or out.exists():
        raise ConfigError("--out is the name of a new .safetensors file", hint="--out public.safetensors")
    if init is not None and not init.is_file():
        raise ConfigError("the file of --init does not exist", hint="give a .safetensors file")
    from dpmed.pretrain import PretrainRequest
    from dpmed.pretrain import pretrain as run

    request = PretrainRequest(recipe=loaded, out=out, data=data, init=init, seed=seed, method=method)
    if dry_run:
        _show_plan(output, request)
        return
    if data is not None:
        output.say(f"{PUBLIC} (--data declares that)")
    with stopping_gently(output) as should_stop, output.progress() as meter:
        done = _follow(run(request, should_stop=should_stop), output, meter)
    _show_done(output, request, recipe, done)


def _follow(events: Iterator[Any], output: Output, meter: Meter) -> "PretrainDone":
    done: Any = None
    for event in events:
        if isinstance(event, Note):
            output.detail(event.text)
        elif isinstance(event, Progress):
            meter.update(event)
        elif isinstance(event, StepDone):
            meter.update(Progress("training steps", event.step, event.steps))
        else:
            done = event
    return done  # type: ignore[no-any-return]


def _show_plan(output: Output, request: "PretrainRequest") -> None:
    from dpmed.core.manifest import Manifest
    from dpmed.pretrain.phantoms import PATIENTS

    patients = PATIENTS if request.data is None else len(Manifest.load(request.data).patients("train"))
    facts = {
        "method": request.method,
        "source": "generated phantoms" if request.data is None else "a dataset that you declare public",
        "patients": patients,
        "steps": 0 if request.method == "centre" else request.recipe.privacy.steps,
        "model": request.recipe.model.name,
        "out": str(request.out),
    }
    output.show(as_table({**{name: str(value) for name, value in facts.items()}, "privacy": PUBLIC}))
    output.finish({**facts, "dry_run": True})


def _show_done(output: Output, request: "PretrainRequest", recipe: str, done: "PretrainDone") -> None:
    seen = done.seen
    lines = {
        "weights": f"{request.out} ({seen.words})",
        "record": f"{request.out}.json",
        "seconds": f"{done.seconds:.1f}",
    }
    output.show(as_table(lines))
    output.finish(
        {
            "out": str(request.out),
            "record": f"{request.out}.json",
            "method": seen.method,
            "patients": seen.patients,
            "cases": seen.cases,
            "steps": seen.steps,
            "weights_sha256": seen.weights_sha256,
            "seconds": done.seconds,
            "dry_run": False,
        },
        next_command=f"dpmed train {recipe} --init {request.out} --data DIR --run DIR",
    )
