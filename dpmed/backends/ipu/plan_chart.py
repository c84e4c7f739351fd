"""The plan of a run on IPUs as a picture: memory of each IPU, memory layer by layer, and speed against IPUs."""

from itertools import accumulate, pairwise
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpmed.backends.ipu.planner import IpuPlan
from dpmed.core.files import written_aside

KINDS = {
    "weights": ("weights, probes", "#0072B2", ""),
    "activations": ("activations", "#009E73", ""),
    "gradients": ("gradients", "#CC79A7", ""),
    "temporary": ("set aside for convolutions", "#F0E442", "///"),
    "code": ("set aside for code and exchange", "#BBBBBB", "///"),
}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MIB = 2**20


def draw(plan: IpuPlan, path: Path) -> None:
    """Write the picture in the format of `path`."""
    rows = len(plan.placement.loads)
    figure = Figure(figsize=(10.5, 5.6 + 0.3 * rows), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(1.2 + 0.3 * rows, 3))
    _memory(figure.add_subplot(grid[0, :]), plan)
    _layers(figure.add_subplot(grid[1, 0]), plan)
    _speed(figure.add_subplot(grid[1, 1]), plan)
    figure.suptitle("Estimated from published figures; nothing of this was measured on an IPU", fontsize=9)
    with written_aside(path) as aside:
        metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix, {})
        figure.savefig(aside, format=path.suffix.removeprefix("."), dpi=150, metadata=metadata)


def _memory(axes: Axes, plan: IpuPlan) -> None:
    loads = plan.placement.loads
    names = [f"IPU {number}: {_count(len(load.layers))}" for number, load in enumerate(loads)]
    left = [0.0] * len(loads)
    for kind, (words, colour, hatch) in KINDS.items():
        widths = [getattr(load, kind) / MIB for load in loads]
        axes.barh(names, widths, left=left, color=colour, hatch=hatch, edgecolor="white", label=words)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.axvline(plan.memory_bytes / MIB, color="#D55E00", linestyle="--", label="what an IPU has")
    made = "made again" if plan.placement.recompute else "kept"
    axes.set(xlabel="MiB", title=f"One copy of the network, {plan.precision}, activations {made}")
    axes.set_xlim(0, 1.03 * max(*left, plan.memory_bytes / MIB))
    axes.invert_yaxis()
    axes.legend(frameon=False, fontsize=8, ncols=6, loc="upper center", bbox_to_anchor=(0.5, -0.3))


def _count(layers: int) -> str:
    return f"{layers} layer{'s' * (layers != 1)}"


def _layers(axes: Axes, plan: IpuPlan) -> None:
    """What every layer leaves for the backward pass, coloured by its IPU."""
    ends = [0, *accumulate(len(load.layers) for load in plan.placement.loads)]
    for number, (start, end) in enumerate(pairwise(ends)):
        heights = [plan.kept_by_layer[place] / MIB for place in range(start, end)]
        colour = COLOURS[number % len(COLOURS)]
        axes.bar(range(start, end), heights, color=colour, label=f"IPU {number}")
    axes.set(xlabel="layer, from the image on", ylabel="MiB", title="Kept for the backward pass")
    if len(ends) > 2:
        axes.legend(frameon=False, fontsize=8, ncols=2)


def _speed(axes: Axes, plan: IpuPlan) -> None:
    if not plan.systems:
        axes.set_axis_off()
        axes.annotate("does not fit", (0.5, 0.5), xycoords="axes fraction", ha="center", fontsize=14)
        return
    for colour, chip in zip(COLOURS, dict.fromkeys(system.chip for system in plan.systems), strict=False):
        some = [system for system in plan.systems if system.chip == chip]
        axes.plot([s.ipus for s in some], [s.patients_per_second for s in some], "o-", color=colour, label=chip)
    ticks = sorted({system.ipus for system in plan.systems})
    axes.set(xlabel="system", ylabel="patients/s", title="Speed of the run", xscale="log")
    axes.minorticks_off()
    axes.set_xticks(ticks, [f"POD{ipus}" for ipus in ticks])
    axes.set_ylim(0, 1.1 * axes.dataLim.y1)
    axes.legend(frameon=False)
