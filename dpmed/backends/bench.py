"""What a private step costs beside an ordinary one: every way to the clipped sum, turn by turn in one process."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from dpmed.backends.bench_cases import Case, cases
from dpmed.backends.capacity import keep_freed_memory
from dpmed.backends.conformance import synthetic_patients
from dpmed.backends.engines import engine
from dpmed.backends.peak import peak_bytes
from dpmed.backends.peers import PEERS
from dpmed.backends.streams import Engine, trainable
from dpmed.core.events import Note, Progress
from dpmed.core.specs import ClippingSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import LossFunction, loss_function

CLIP = ClippingSpec(l2_clip_norm=0.1)
AGREEMENT = 1e-2
"""Relative distance allowed between sums in float32; rounding across the kink of a ReLU stays below."""
ORDINARY = "ordinary PyTorch"
PEAKS = 3
"""Steps whose peak memory is measured."""


@dataclass(frozen=True)
class Row:
    """One engine on one model: medians of a step's seconds and of its ratio to the ordinary step of the same round.

    `peak_memory_bytes` is what the step held beyond network and images; None where the system does not tell.
    """

    model: str
    parameters: int
    engine: str
    batch: int
    images_per_patient: int
    seconds_median: float
    ratio_to_nonprivate: float
    peak_memory_bytes: int | None
    patients_per_second: float


def bench_engines(
    names: Sequence[str], *, batches: Sequence[int], images: int, rounds: int, device: str, threads: int
) -> Iterator[Progress | Note | Row]:
    """Measure every way on every case. Nothing is timed before all sums agree with the plain loop.

    All ways take their turn in every round, so that a slow minute of the machine is shared; ratios are of one round.
    `batches` empty and `images` 0 take what the case has. Raises `ConfigError` for an unknown name.
    """
    keep_freed_memory()
    if threads:
        torch.set_num_threads(threads)
    for name, case in cases(names).items():
        for batch in batches or (case.batch,):
            yield from _bench(name, case, batch, images=images or case.images, rounds=rounds, device=device)


def _bench(
    name: str, case: Case, batch: int, *, images: int, rounds: int, device: str
) -> Iterator[Progress | Note | Row]:
    ways = ways_to_step(case, batch=batch, images=images, device=device)
    yield from _agreeing(name, ways)
    peaks = {way: _peak(step, device) for way, step in ways.items()}
    parameters = sum(weight.numel() for weight in case.network().parameters())
    taken: dict[str, list[float]] = defaultdict(list)
    for turn in range(rounds):
        for number, (way, step) in enumerate(ways.items()):
            taken[way].append(_seconds(step, device))
            yield Progress(f"{name}, {batch} patients", turn * len(ways) + number + 1, rounds * len(ways))
    for way, seconds in taken.items():
        median = statistics.median(seconds)
        yield Row(
            model=name,
            parameters=parameters,
            engine=way,
            batch=batch,
            images_per_patient=images,
            seconds_median=median,
            ratio_to_nonprivate=statistics.median(
                own / plain for own, plain in zip(seconds, taken[ORDINARY], strict=True)
            ),
            peak_memory_bytes=peaks[way],
            patients_per_second=batch / median,
        )


Step = Callable[[], Mapping[str, Tensor]]


def ways_to_step(case: Case, *, batch: int, images: int, device: str, fused: Engine | None = None) -> dict[str, Step]:
    """The ordinary step first. Peers know one image a patient. `fused` takes the place of a new engine of that name."""
    torch.manual_seed(0)
    model, loss = case.network().to(device), loss_function(case.task)
    patients = [
        PatientTensors(patient.inputs.to(device), patient.targets.to(device))
        for patient in synthetic_patients(
            case.task, channels=case.channels, size=case.size, draws=images, patients=batch
        )
    ]
    ways: dict[str, Step] = {ORDINARY: partial(_ordinary, model, loss, patients)}
    for name in ("nano", "vmap", "fused"):
        run = fused if fused and name == "fused" else engine(name)
        ways[name] = partial(_own, run, model, loss, patients)
    if images == 1:
        ways |= {name: peer(model, loss, patients, CLIP) for name, peer in PEERS.items()}
    return ways


def _ordinary(model: nn.Module, loss: LossFunction, patients: list[PatientTensors]) -> Mapping[str, Tensor]:
    weights = trainable(model)
    inputs = torch.cat([patient.inputs for patient in patients])
    value = loss(model(inputs), torch.cat([patient.targets for patient in patients]))
    return dict(zip(weights, torch.autograd.grad(value, list(weights.values())), strict=True))


def _own(run: Engine, model: nn.Module, loss: LossFunction, patients: list[PatientTensors]) -> Mapping[str, Tensor]:
    return run(model, loss, patients, CLIP, len(patients)).values


def _agreeing(name: str, ways: dict[str, Step]) -> Iterator[Note]:
    """Leave out, by name, what fails or gives other sums; then everything has run once and is warm."""
    wanted = ways["nano"]()
    size = _norm(wanted)
    for way in list(ways):
        try:
            sums = ways[way]()
        except RuntimeError as error:
            if way not in PEERS:
                raise
            del ways[way]
            yield Note(f"{name}: {way} cannot do it ({type(error).__name__}: {str(error).splitlines()[0][:90]})")
            continue
        distance = _norm({key: sums[key] - value for key, value in wanted.items()}) / size
        if way != ORDINARY and not distance < AGREEMENT:
            del ways[way]
            yield Note(f"{name}: {way} gives other sums (relative distance {distance:.1e}) and is not timed")


def _norm(values: Mapping[str, Tensor]) -> float:
    return float(torch.stack([value.double().square().sum() for value in values.values()]).sum().sqrt())


def _peak(step: Step, device: str) -> int | None:
    """The median of some steps: what earlier ones left in pieces moves each a little."""
    peaks = [peak_bytes(step, device) for _ in range(PEAKS)]
    return sorted(peak for peak in peaks if peak is not None)[PEAKS // 2] if None not in peaks else None


def _seconds(step: Step, device: str) -> float:
    _wait(device)
    began = time.perf_counter()
    step()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
