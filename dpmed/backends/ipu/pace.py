"""How fast IPUs would train, from the one published speed of a clip after every image; no IPU is asked.

A patient takes as long as the operations do at the speed that was sustained there, or as the layers do at the time that
one took there, whichever is more: a small network is bound by its number of layers, a large one by arithmetic.
"""

from dataclasses import dataclass

from scipy.stats import binom

from dpmed.backends.ipu.anatomy import Anatomy
from dpmed.backends.ipu.figures import (
    HOST_BYTES,
    MK2,
    NANOBATCH_IMAGES,
    RESNET50_LAYERS,
    RESNET50_OPERATIONS,
    Chip,
)
from dpmed.backends.ipu.memory import SINGLE
from dpmed.core.record import Record
from dpmed.core.specs import PrivacySpec

AGAIN = 4 / 3
"""Forward twice and backward, which is as much as two forwards, against forward once."""
WEIGHT_TRIPS = 4
"""Numbers that travel for each weight in a call: it and its probe, there and back."""
MOST_PLACES = 256
IN_ONE_CALL = 0.98
"""Of all steps: how many patients a call takes is chosen so, since what a call costs by itself was not published."""


class System(Record):
    """One system and what the run would take there, with the `copies` and `patients_a_call` that suit it.

    `limit` is what most of the time goes into; `idle_ipus` are those that would only make it slower.
    """

    chip: str
    ipus: int
    copies: int
    idle_ipus: int
    patients_a_call: int
    patients_per_second: float
    seconds: float
    limit: str


@dataclass(frozen=True)
class Step:
    """Who takes part: each of `patients` with `rate`, over `steps` steps; noise and optimizer take `host` seconds."""

    patients: int
    rate: float
    steps: int
    host: float

    @classmethod
    def of(cls, spec: PrivacySpec, host: float) -> "Step":
        """The steps of a run."""
        return cls(round(spec.expected_batch_size / spec.sample_rate), spec.sample_rate, spec.steps, host)

    @property
    def expected(self) -> float:
        """Patients in a step, on average."""
        return self.patients * self.rate

    def most(self) -> int:
        """Patients of nearly every step."""
        return max(1, int(binom.ppf(IN_ONE_CALL, self.patients, self.rate)))

    def calls(self, places: int) -> float:
        """How many calls a step needs on average, where one takes `places` patients."""
        return float(sum(binom.sf(done, self.patients, self.rate) for done in range(0, self.patients, places)))


@dataclass(frozen=True)
class Pace:
    """One copy of a network on one kind of chip: seconds of a patient, and bytes that a call sends."""

    seconds: float
    bound: str
    patient_bytes: int
    weight_bytes: int

    @classmethod
    def of(cls, found: Anatomy, chip: Chip, *, half: bool, recompute: bool) -> "Pace":
        """At the published pace, scaled by what the chip can do at best."""
        factor = AGAIN if recompute else 1.0
        sustained = NANOBATCH_IMAGES.value * RESNET50_OPERATIONS.value * chip.peak(half=half) / MK2.half.value
        arithmetic = factor * found.operations / sustained
        of_a_layer = MK2.half.value / chip.half.value / NANOBATCH_IMAGES.value / RESNET50_LAYERS.value
        layers = factor * found.products * of_a_layer
        return cls(
            seconds=max(arithmetic, layers),
            bound="arithmetic" if arithmetic >= layers else "number of layers",
            patient_bytes=SINGLE * found.patient_numbers,
            weight_bytes=WEIGHT_TRIPS * SINGLE * found.weights,
        )

    def on(self, chip: Chip, ipus: int, *, per_copy: int, step: Step) -> System:
        """The run on a system whose copies of the network take `per_copy` IPUs each; it must hold one."""
        counts = [2**power for power in range((ipus // per_copy).bit_length())]
        tried = {copies: self._parts(_places(copies, step), copies, step) for copies in counts}
        copies, parts = min(tried.items(), key=lambda item: sum(item[1].values()))
        seconds = sum(parts.values())
        return System(
            chip=chip.name,
            ipus=ipus,
            copies=copies,
            idle_ipus=ipus - copies * per_copy,
            patients_a_call=_places(copies, step),
            patients_per_second=step.expected / seconds,
            seconds=step.steps * seconds,
            limit=max(parts, key=lambda name: parts[name]),
        )

    def _parts(self, places: int, copies: int, step: Step) -> dict[str, float]:
        """Seconds of one step by what they go into. Places without a patient are computed like the others."""
        calls = step.calls(places * copies)
        busy = step.expected / copies
        sent = copies * (places * self.patient_bytes + self.weight_bytes)
        return {
            self.bound: busy * self.seconds,
            "too few patients a step": (calls * places - busy) * self.seconds,
            "link to the host": calls * sent / HOST_BYTES.value,
            "noise and optimizer": step.host,
        }


def _places(copies: int, step: Step) -> int:
    return min(MOST_PLACES, -(-step.most() // copies))
