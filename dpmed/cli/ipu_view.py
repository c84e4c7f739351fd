"""How the plan of a run on IPUs is shown: what one copy of the network puts where, and how long systems would take."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from dpmed.backends.ipu.memory import Load
    from dpmed.backends.ipu.pace import System
    from dpmed.backends.ipu.placement import Placement
    from dpmed.backends.ipu.planner import IpuPlan

MIB = 2**20
WIDTH = 32
KINDS = {
    "weights": ("weights, probes", "blue", "█"),
    "activations": ("activations", "green", "█"),
    "gradients": ("gradients", "magenta", "█"),
    "temporary": ("set aside for convolutions", "yellow", "▒"),
    "code": ("set aside for code and exchange", "bright_black", "▒"),
}
SOURCES = (
    "Estimated from the published speed of a clip after every image (NanoBatch, arXiv:2109.12191), Graphcore's "
    "datasheets and its ResNet-50 configuration; --verbose and --json give every figure with its source."
)
NOT_COUNTED = (
    "Not counted: compiling, which takes minutes or more, the self-test, and reading and augmenting scans here, which "
    "may well be slower than the IPUs. Nothing was measured on an IPU."
)


def plan_values(plan: "IpuPlan") -> dict[str, Any]:
    """The plan for JSON; all of it is estimated."""
    values = plan.model_dump(mode="json")
    placements = zip(values["placements"], plan.placements, strict=True)
    for shown, placement in placements:
        shown |= {"ipus": len(placement.loads), "fits": placement.fits, "fullest_bytes": placement.fullest.total}
    return values | {"estimated": True, "fits": plan.placement.fits, "ipus_a_copy": len(plan.placement.loads)}


def plan_view(plan: "IpuPlan", *, verbose: bool) -> RenderableType:
    """The placement as bars, the systems as a table, and where the numbers come from."""
    placement = plan.placement
    made = "made again in the backward pass" if placement.recompute else "kept for the backward pass"
    title = f"One copy of the network (estimated): {_count(len(placement.loads), 'IPU')}, {plan.precision}"
    size = f"each IPU has {plan.memory_bytes / MIB:.0f} MiB; activations are {made}"
    parts: list[RenderableType] = ["", Text(title, style="bold"), size, _bars(placement, plan.memory_bytes), _legend()]
    parts += ["", _choices(plan)]
    if plan.systems:
        parts += ["", _systems(plan.systems)]
    return Group(*parts, *_advice(plan), "", *([_sources(plan)] if verbose else [SOURCES]), NOT_COUNTED)


def _bars(placement: "Placement", memory: int) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for width in (len("IPU 63"), WIDTH, len("1000 MiB")):
        table.add_column(no_wrap=True, min_width=width)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for number, load in enumerate(placement.loads):
        names = load.layers[0] if len(load.layers) == 1 else f"{load.layers[0]} to {load.layers[-1]}"
        words = f"{_count(len(load.layers), 'layer')}: {names}"
        table.add_row(f"IPU {number}", _bar(load, memory), f"{load.total / MIB:.0f} MiB", words)
    return table


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _bar(load: "Load", memory: int) -> Text:
    """One character for each part of the memory; a red end where it is not enough."""
    bar, end = Text(), 0.0
    for kind, (_, colour, mark) in KINDS.items():
        start, end = end, end + getattr(load, kind) / memory * WIDTH
        bar.append(mark * (min(round(end), WIDTH) - min(round(start), WIDTH)), style=colour)
    bar.append("·" * (WIDTH - len(bar)), style="dim")
    if not load.fits:
        bar.right_crop(1)
        bar.append("▶", style="bold red")
    return bar


def _legend() -> Text:
    legend = Text()
    for words, colour, mark in KINDS.values():
        legend.append(f"{mark} ", style=colour)
        legend.append(f"{words}   ")
    legend.append("· free")
    return legend


def _choices(plan: "IpuPlan") -> Table:
    """What one IPU holds, the fullest, for each way to treat activations; the chosen one in bold."""
    names = ["made again" if placement.recompute else "kept" for placement in plan.placements]
    styles = ["bold" if number == plan.chosen else "dim" for number in range(len(names))]
    table = Table("on the fullest IPU", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name, style in zip(names, styles, strict=True):
        table.add_column(f"activations {name}", style=style, justify="right")
    for kind, (words, *_) in KINDS.items():
        table.add_row(words, *(_mib(getattr(placement.fullest, kind)) for placement in plan.placements))
    table.add_row("in all", *(_mib(placement.fullest.total) for placement in plan.placements))
    counts = [f"{len(one.loads)}" if one.fits else "does not fit" for one in plan.placements]
    table.add_row("IPUs a copy", *counts)
    return table


def _systems(systems: "tuple[System, ...]") -> Table:
    table = Table(
        "system",
        "copies",
        "idle",
        "a call",
        "patients/s",
        "the run",
        "most goes into",
        box=None,
        padding=(0, 2, 0, 0),
        header_style="bold",
    )
    for system in systems:
        table.add_row(
            f"{system.chip} POD{system.ipus}",
            f"{system.copies}",
            f"{system.idle_ipus}" if system.idle_ipus else "-",
            f"{system.patients_a_call}",
            f"≈ {_rounded(system.patients_per_second)}",
            f"≈ {_time(system.seconds)}",
            system.limit,
        )
    return table


def _advice(plan: "IpuPlan") -> Iterator[RenderableType]:
    settings = [f"--set hardware.ipu_count={len(plan.placement.loads)}"] * (len(plan.placement.loads) > 1)
    settings += ["--set hardware.ipu_recompute=true"] * plan.placement.recompute
    if plan.systems and settings:
        yield f"{' '.join(settings)} for this plan"
    for change in plan.changes:
        again = ", activations made again" if change.recompute else ""
        yield f"--set {change.setting} would need {_count(change.ipus, 'IPU')} a copy{again}"
    if plan.systems:
        yield (
            "copies: of the network, side by side, to be set as hardware.ipu_workers; idle: IPUs without one; "
            "a call: patients in one call of one copy, to be set as hardware.ipu_device_iterations"
        )
    if any(system.idle_ipus for system in plan.systems):
        yield (
            "Idle IPUs would make it slower: every copy is sent all weights, and places for patients who were not "
            "drawn. More privacy.expected_batch_size keeps more of them busy."
        )


def _sources(plan: "IpuPlan") -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(overflow="fold")
    for name, figure in plan.figures.items():
        table.add_row(
            name.replace("_", " "),
            f"{_exact(figure.value)}{figure.unit}",
            Text(figure.source),
            style="dim",
        )
    return table


def _mib(count: int) -> str:
    return f"{count / MIB:.1f} MiB" if count < 10 * MIB else f"{count / MIB:.0f} MiB"


def _rounded(value: float) -> str:
    """Two digits, as an estimate has no more."""
    return f"{float(f'{value:.2g}'):,.10g}"


def _exact(value: float) -> str:
    """A published number, in thousands of millions where it is large."""
    for letter, size in (("T", 1e12), ("G", 1e9)):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:,.6g} " if value >= 1000 else f"{value:.3g} "


def _time(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
