"""Before anything runs, and without an SDK: whether a recipe fits, on how many IPUs, and how long it would take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dpmed.backends.ipu.anatomy import Anatomy, anatomy
from dpmed.backends.ipu.figures import CHIPS, MEMORY_BYTES, PODS, Figure, figures
from dpmed.backends.ipu.memory import Sizes
from dpmed.backends.ipu.pace import Pace, Step, System
from dpmed.backends.ipu.placement import Placement, smallest_placement
from dpmed.core.record import Record
from dpmed.core.specs import HardwareFlags, ModelSpec, PrivacySpec, TaskSpec


@dataclass(frozen=True)
class Asked:
    """What decides how much memory one patient needs."""

    model: ModelSpec
    task: TaskSpec
    size: tuple[int, ...]
    draws: int
    flags: HardwareFlags
    can_recompute: bool = True

    @property
    def half(self) -> bool:
        """Whether the network computes in float16."""
        return self.flags.precision == "float16"

    @property
    def sizes(self) -> Sizes:
        """Bytes of what is counted in numbers."""
        share = self.flags.ipu_memory_proportion
        return Sizes(half=self.half, temporary_share=share) if share else Sizes(half=self.half)

    def anatomy(self) -> Anatomy:
        """Its layers."""
        return anatomy(self.model, self.task, size=self.size, draws=self.draws)

    def placements(self, found: Anatomy) -> tuple[Placement, ...]:
        """With activations kept, and made again where that can be had."""
        ways = (False, True) if self.can_recompute else (False,)
        return tuple(smallest_placement(found.layers, self.sizes, recompute=again) for again in ways)


class Change(Record):
    """A setting that would need fewer IPUs, or fit at all."""

    setting: str
    ipus: int
    recompute: bool


class IpuPlan(Record):
    """Every number is an estimate; `figures` are what it rests on, with their sources. Sizes are in bytes."""

    precision: str
    images_a_patient: int
    parameters: int
    operations_a_patient: int
    memory_bytes: int
    kept_by_layer: tuple[int, ...]
    placements: tuple[Placement, ...]
    chosen: int
    systems: tuple[System, ...]
    changes: tuple[Change, ...]
    figures: dict[str, Figure]

    @property
    def placement(self) -> Placement:
        """The chosen one."""
        return self.placements[self.chosen]


def ipu_plan(asked: Asked, spec: PrivacySpec, *, host_seconds: float) -> IpuPlan:
    """Plan a run whose steps take `host_seconds` here for noise and optimizer.

    Raises `ConfigError` for a network that the worker does not know.
    """
    host = Figure(value=host_seconds, unit="s a step", source="measured on this machine")
    found = asked.anatomy()
    placements = asked.placements(found)
    chosen = _best(placements)
    placement = placements[chosen]
    is_roomy = placement.fits and len(placement.loads) == 1
    return IpuPlan(
        precision=asked.flags.precision,
        images_a_patient=asked.draws,
        parameters=found.weights,
        operations_a_patient=found.operations,
        memory_bytes=MEMORY_BYTES,
        kept_by_layer=tuple(_kept_first(found, asked.sizes)),
        placements=placements,
        chosen=chosen,
        systems=tuple(_systems(asked, found, placement, Step.of(spec, host_seconds))) if placement.fits else (),
        changes=() if is_roomy else tuple(_changes(asked, placement)),
        figures=figures() | {"noise_and_optimizer": host},
    )


def _kept_first(found: Anatomy, sizes: Sizes) -> Iterator[int]:
    """Bytes that each layer is the first to keep."""
    seen: set[int] = set()
    for layer in found.layers:
        yield sizes.number * sum(size for place, size in layer.kept.items() if place not in seen)
        seen |= layer.kept.keys()


def _best(placements: Sequence[Placement]) -> int:
    """The one that needs fewest IPUs, as twice the copies outweigh one more forward; else the one that is faster."""
    return min(range(len(placements)), key=lambda n: (not placements[n].fits, len(placements[n].loads), n))


def _systems(asked: Asked, found: Anatomy, placement: Placement, step: Step) -> Iterator[System]:
    for chip in CHIPS:
        pace = Pace.of(found, chip, half=asked.half, recompute=placement.recompute)
        for ipus in PODS:
            if ipus >= len(placement.loads):
                yield pace.on(chip, ipus, per_copy=len(placement.loads), step=step)


def _changes(asked: Asked, placement: Placement) -> Iterator[Change]:
    for setting, other in _others(asked):
        placements = other.placements(other.anatomy())
        better = placements[_best(placements)]
        if better.fits and (not placement.fits or len(better.loads) < len(placement.loads)):
            yield Change(setting=setting, ipus=len(better.loads), recompute=better.recompute)


def _others(asked: Asked) -> Iterator[tuple[str, Asked]]:
    """The same with half of one thing."""
    if not asked.half:
        yield (
            "hardware.precision=float16",
            replace(asked, flags=asked.flags.model_copy(update={"precision": "float16"})),
        )
    if asked.draws > 1:
        yield f"data.draws_per_patient={asked.draws // 2}", replace(asked, draws=asked.draws // 2)
    smaller = tuple(max(32, side // 2 // 8 * 8) for side in asked.size)
    if smaller != asked.size:
        yield f"data.image_size={list(smaller)}", replace(asked, size=smaller)
    if asked.model.width > 1:
        thin = asked.model.model_copy(update={"width": asked.model.width // 2})
        yield f"model.width={thin.width}", replace(asked, model=thin)
