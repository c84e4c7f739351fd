"""`dpmed train --dry-run`: what a run would be and take, timed here or, for IPUs, planned."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpmed.cli.output import Output
from dpmed.core.errors import ConfigError

if TYPE_CHECKING:
    from dpmed.engine import Estimate, IpuEstimate, TrainRequest


def show_estimate(output: Output, request: "TrainRequest") -> None:
    """Time a few synthetic patients, and say what the run would take."""
    from dpmed.engine import estimate as measure

    estimate = measure(request)
    spec = estimate.spec
    lines = {
        "device, engine": f"{estimate.device}, {estimate.engine}",
        **_run_lines(request, estimate),
        **estimate.chosen,
        "time": f"about {estimate.seconds / 60:.1f} minutes (measured on synthetic patients)",
        "memory": f"at least {estimate.peak_memory_bytes / 2**20:.0f} MiB",
    }
    output.show(as_table(lines))
    measured = {
        "device": estimate.device,
        "engine": estimate.engine,
        "seconds": estimate.seconds,
        "patients_per_second": spec.expected_batch_size * spec.steps / estimate.seconds,
        "peak_memory_bytes": estimate.peak_memory_bytes,
    }
    output.finish(_promised(request, estimate) | measured, next_command="the same command without --dry-run")


def require_place(plot: Path | None, *, is_plan: bool) -> None:
    """Raise `ConfigError` where nothing would be drawn."""
    if plot is None:
        return
    if not is_plan:
        raise ConfigError("--plot draws the plan of a run on IPUs", hint="add --dry-run --device ipu")
    if plot.suffix not in {".png", ".svg", ".pdf"}:
        raise ConfigError("a chart is a .png, .svg or .pdf file", hint="for example --plot plan.png")


def show_plan(output: Output, request: "TrainRequest", plot: Path | None) -> None:
    """Plan the run on IPUs; nothing is run."""
    from dpmed.cli.ipu_view import plan_values, plan_view
    from dpmed.engine import ipu_estimate, require_fit

    found = ipu_estimate(request)
    output.show(as_table(_run_lines(request, found)))
    output.show(plan_view(found.plan, verbose=output.verbose))
    if plot is not None:
        from dpmed.backends.ipu.plan_chart import draw

        draw(found.plan, plot)
        output.say(f"drawn: {plot}")
    require_fit(found.plan)
    first = found.plan.systems[0]
    words = {
        "device": "ipu",
        "engine": f"nano, estimated for {first.chip} POD{first.ipus}",
        "seconds": first.seconds,
        "patients_per_second": first.patients_per_second,
        "plan": plan_values(found.plan),
    }
    output.finish(_promised(request, found) | words, next_command="the same command without --dry-run")


def _run_lines(request: "TrainRequest", found: "Estimate | IpuEstimate") -> dict[str, str]:
    spec = found.spec
    return {
        "patients": f"{found.patients}, each in a step with probability {spec.sample_rate / spec.bands:.4f}",
        "model": f"{request.recipe.model.name}, {found.parameters:,} parameters",
        "steps": f"{spec.steps}",
        "epsilon": "none: no guarantee" if found.epsilon is None else _spent(found.epsilon, spec.delta),
        "noise multiplier, clip norm": f"{spec.noise_multiplier:.3f}, {spec.clipping.l2_clip_norm}",
    }


def _promised(request: "TrainRequest", found: "Estimate | IpuEstimate") -> dict[str, Any]:
    spec = found.spec
    return {
        "run": str(request.run.root),
        "dry_run": True,
        "steps": spec.steps,
        "epsilon": found.epsilon,
        "delta": spec.delta,
        "noise_multiplier": spec.noise_multiplier,
        "sample_rate": spec.sample_rate,
        "clip_norm": spec.clipping.l2_clip_norm,
        "unit": spec.unit,
        "neighbouring": spec.neighbouring,
        "valid": found.epsilon is not None and request.demo_seed is None,
    }


def _spent(epsilon: float, delta: float) -> str:
    return f"{epsilon:.3f} at delta {delta:g} per patient (add-or-remove-one, PLD)"


def as_table(lines: dict[str, str]) -> Any:
    """Names and values, in two columns."""
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, value in lines.items():
        table.add_row(name, value)
    return table
