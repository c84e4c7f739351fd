"""`dpmed train`: parse, call the engine, show."""

import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpmed.cli.dry_run import as_table, require_place, show_estimate, show_plan
from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Meter, Output
from dpmed.core.choices import Device
from dpmed.core.errors import ConfigError, InterruptedRun
from dpmed.core.events import Note, Progress, StepDone
from dpmed.core.folders import RunFolder

if TYPE_CHECKING:
    from dpmed.engine import TrainDone, TrainRequest


def train(
    recipe: Annotated[str, typer.Argument(help="A name from `dpmed recipes`, or a TOML file.")],
    data: Annotated[Path, typer.Option(help="The dataset folder that `dpmed ingest` wrote.")],
    run: Annotated[Path, typer.Option(help="The run folder to write.")],
    device: Annotated[Device | None, typer.Option(help="Where to train; auto takes cuda if there is one.")] = None,
    epsilon: Annotated[
        float | None, typer.Option(help="The budget of this run; the noise is calibrated to it.")
    ] = None,
    delta: Annotated[float | None, typer.Option(help="Should be less than 1/patients.")] = None,
    steps: Annotated[int | None, typer.Option(help="How many steps.")] = None,
    init: Annotated[
        Path | None, typer.Option(help="Start from these public weights: .safetensors, .pth, or a run folder.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change any recipe key.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen and what it would cost.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --dry-run --device ipu: draw the plan as PNG, SVG or PDF.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    seed: Annotated[int, typer.Option(help="Governs initial weights and augmentation, never sampling or noise.")] = 0,
    demo_seed: Annotated[
        int | None, typer.Option(help="Fix sampling and noise too: reproducible, and the statement says INVALID.")
    ] = None,
    non_private: Annotated[
        bool, typer.Option("--non-private", help="No clipping, no noise, no guarantee: for comparison alone.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write curves for TensorBoard, in the run's curator/.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train a model so that no single patient can be picked out of its weights."""
    output = Output("train", json=json, quiet=quiet, verbose=verbose)
    options = {"hardware.device": device, "privacy.epsilon": epsilon, "privacy.delta": delta, "privacy.steps": steps}
    if epsilon is not None and any(setting.startswith("privacy.noise_multiplier") for setting in set_ or ()):
        raise ConfigError("--epsilon and privacy.noise_multiplier both set the noise", hint="give one of them")
    settings = [*(set_ or ()), *(f"{key}={value}" for key, value in options.items() if value is not None)]
    from dpmed.core.recipe import load_recipe
    from dpmed.core.sdk import sdk_python

    loaded = load_recipe(recipe, settings=settings)
    if init is not None and not init.exists():
        raise ConfigError(
            "the file of --init does not exist", hint="give a .safetensors, .pth or .pt file, or a run folder"
        )

    is_plan = dry_run and loaded.hardware.device == "ipu"
    require_place(plot, is_plan=is_plan)
    if loaded.hardware.device == "ipu" and not dry_run:
        sdk_python(loaded.hardware)  # a missing SDK is told at once
    from dpmed.engine import TrainRequest
    from dpmed.engine import train as run_training

    request = TrainRequest(
        recipe=loaded,
        data=data,
        run=RunFolder(run),
        seed=seed,
        demo_seed=demo_seed,
        private=not non_private,
        resume=resume,
        init=init,
        tensorboard=tensorboard,
    )
    if is_plan:
        show_plan(output, request, plot)
        return
    if dry_run:
        show_estimate(output, request)
        return
    with stopping_gently(output) as should_stop, output.progress() as meter:
        try:
            done = _follow(run_training(request, should_stop=should_stop), output, meter)
        except InterruptedRun as stop:
            raise InterruptedRun(stop.message, hint=_resume_line(recipe, settings, request)) from None
    _show_done(output, request, done)


def _resume_line(recipe: str, settings: list[str], request: "TrainRequest") -> str:
    """The command that goes on with this run: every option that decides what it is, for the shell to read."""
    words = ["dpmed", "train", recipe, "--data", str(request.data), "--run", str(request.run.root)]
    words += [word for setting in settings for word in ("--set", setting)]
    words += [f"--seed={request.seed}"] if request.seed else []
    words += [f"--demo-seed={request.demo_seed}"] if request.demo_seed is not None else []
    words += ["--init", str(request.init)] if request.init else []
    words += [] if request.private else ["--non-private"]
    words += ["--tensorboard"] if request.tensorboard else []
    return shlex.join([*words, "--resume"])


@contextmanager
def stopping_gently(output: Output) -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a request to finish the step and save; the second one kills as usual."""
    asked: list[int] = []

    def ask(number: int, _frame: object) -> None:
        asked.append(number)
        signal.signal(number, signal.default_int_handler)
        output.say("finishing this step, then saving ...")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow(events: Iterator[Any], output: Output, meter: Meter) -> "TrainDone":
    done: Any = None
    meter.update(Progress("getting ready", 0, 1))  # checks, calibration, a look for the fastest engine: seconds
    for event in events:
        if isinstance(event, Note):
            output.detail(event.text)
        elif isinstance(event, Progress):
            meter.update(event)
        elif isinstance(event, StepDone):
            meter.update(Progress("getting ready", 1, 1))
            meter.update(Progress("training steps", event.step, event.steps), note=_live(event))
        else:
            done = event
    return done  # type: ignore[no-any-return]


def _live(event: "StepDone") -> str:
    spent = "no privacy" if event.epsilon is None else f"epsilon {event.epsilon:.2f} of {event.budget:.2f}"
    return f"{spent}  {event.patients_per_second:.0f} patients/s"


def _show_done(output: Output, request: "TrainRequest", done: "TrainDone") -> None:
    words = done.statement
    lines = {
        "run": str(request.run.root),
        "steps": f"{done.steps} in {done.seconds:.1f} s ({done.seconds_per_step:.2f} s each)",
        "patients": f"{done.patients} ({done.patients_per_second:.1f} patients/s)",
        "device, engine": f"{done.device}, {done.engine}",
        "peak memory": f"{done.peak_memory_bytes / 2**20:.0f} MiB",
        "privacy": words.words,
    }
    output.show(as_table(lines))
    output.finish(
        {
            "run": str(request.run.root),
            "steps": done.steps,
            "epsilon": words.epsilon,
            "delta": words.delta,
            "noise_multiplier": words.noise_multiplier,
            "sample_rate": words.sample_rate,
            "clip_norm": words.clip_norm,
            "unit": words.unit,
            "neighbouring": words.neighbouring,
            "device": done.device,
            "engine": done.engine,
            "seconds": done.seconds,
            "seconds_per_step": done.seconds_per_step,
            "patients_per_second": done.patients_per_second,
            "peak_memory_bytes": done.peak_memory_bytes,
            "valid": words.valid,
        },
        next_command=f"dpmed evaluate {request.run.root} --data {request.data}",
    )
