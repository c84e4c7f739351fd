"""Public settings as values: what is guaranteed, how fast it may run, what is built, what was spent."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from dpmed.core.choices import Accountant as Accountant
from dpmed.core.choices import Device as Device
from dpmed.core.record import Record

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
PowerOfTwo = Literal[1, 2, 4, 8, 16, 32, 64]
"""As IPUs come together, and as many as one program can have."""

Unit = Literal["patient"]
Promised = Literal["add-or-remove-one"]
"""The neighbouring relation of every run's promise; an account can be asked for others."""
Neighbouring = Literal["add-or-remove-one", "replace-one", "zero-out"]
ClippingMode = Literal["flat", "per-layer", "automatic"]
Engine = Literal["auto", "nano", "vmap", "fused"]
Sampling = Literal["poisson", "truncated-poisson"]
Precision = Literal["float32", "float64", "bfloat16", "float16"]
Mechanism = Literal["poisson-subsampled-gaussian", "truncated-poisson-subsampled-gaussian", "bandmf", "none"]
Training = Literal["dp-sgd", "bandmf"]
Norm = Literal["group", "none"]


class ClippingSpec(Record):
    """How one patient's gradient is bounded: `flat` over all weights, `per-layer` with equal shares, or `automatic`.

    Automatic clipping scales every gradient to about `l2_clip_norm`, small ones too (Bu et al. 2022, arXiv:2206.07136).

    Per-layer clips each of L parameter tensors at `l2_clip_norm / sqrt(L)`, so the whole is bounded by
    `l2_clip_norm` either way. `None` bounds nothing and is for the non-private comparison alone.
    """

    mode: ClippingMode = "flat"
    l2_clip_norm: Positive | None


class Drawing(Record):
    """Who takes part in a step: each patient with `sample_rate`, independently of all others (Poisson sampling).

    With `truncate_at`, a draw of more patients than that is cut down to a random choice of so many (truncated Poisson
    sampling, Ganesh et al. 2025, arXiv:2508.15089); its cost depends on the number of `patients`, which is public.

    With several `bands`, patients are in as many fixed groups, and each step draws from one group, in turn (cyclic
    Poisson sampling, arXiv:2306.08153): `sample_rate` is that of the group whose turn it is.
    """

    sample_rate: Rate
    bands: Count = 1
    truncate_at: Count | None = None
    patients: Count | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.truncate_at is None) != (self.patients is None):
            raise ValueError("truncate_at needs the number of patients, and only it does")
        if self.truncate_at is not None and self.bands > 1:
            raise ValueError("what truncation costs in groups is not known")
        return self

    @property
    def sampling(self) -> str:
        """Its name, in words."""
        if self.bands > 1:
            return "cyclic Poisson"
        return "Poisson" if self.truncate_at is None else "truncated Poisson"

    @property
    def drawing(self) -> dict[str, Any]:
        """These values alone, by name."""
        return {name: getattr(self, name) for name in Drawing.model_fields}


class Entry(Drawing):
    """One line of a run's ledger: one step's mechanism, written before the weights change."""

    step: Annotated[int, Field(ge=0)]
    mechanism: Mechanism
    noise_multiplier: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    clip_norm: Positive | None


class PrivacySpec(Drawing):
    """What a run promises, all of it public. `noise_multiplier` is None until `privacy.calibration.calibrated`.

    `expected_batch_size` is the fixed divisor of every step, `sample_rate` times the number of training patients, or
    of those in one group where there are several `bands`.
    """

    unit: Unit = "patient"
    neighbouring: Promised = "add-or-remove-one"
    epsilon: Positive | None
    delta: Probability
    clipping: ClippingSpec
    expected_batch_size: Positive
    steps: Count
    noise_multiplier: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None

    @property
    def mechanism(self) -> Mechanism:
        """What a step does, by name."""
        if self.noise_multiplier == 0:
            return "none"
        if self.bands > 1:
            return "bandmf"
        return "poisson-subsampled-gaussian" if self.truncate_at is None else "truncated-poisson-subsampled-gaussian"

    def entry(self, step: int) -> Entry:
        """What a step costs, for the ledger."""
        assert self.noise_multiplier is not None, "a run starts from a calibrated spec"
        return Entry(
            **self.drawing,
            step=step,
            mechanism=self.mechanism,
            noise_multiplier=self.noise_multiplier,
            clip_norm=self.clipping.l2_clip_norm,
        )


class HardwareFlags(Record):
    """How fast and where; never changes a released number beyond float tolerance.

    `nano_batch` is the most patients in flight; fewer are where `memory_limit_gib` (0: half of what is free) says so.
    `bfloat16` multiplies in half precision (autocast), a coarser tolerance; weights, norms and sums stay in float32.
    `workers` are threads that fetch patients ahead; with none, each is fetched when its turn comes.

    For IPUs alone: `float16`, the interpreter that has PopTorch, patients a call, Graphcore's simulator in place of a
    device, a folder for compiled programs, and the share of a tile's memory that its convolutions may use (0: theirs).
    `ipu_count` IPUs hold one copy of the network, one after the other; `ipu_workers` copies take patients side by side;
    `ipu_recompute` makes activations again in the backward pass, to keep fewer.
    """

    device: Device = "auto"
    engine: Engine = "auto"
    nano_batch: Count = 16
    memory_limit_gib: Annotated[float, Field(ge=0)] = 0.0
    precision: Precision = "float32"
    workers: Annotated[int, Field(ge=0)] = 2
    threads: Annotated[int, Field(ge=0)] = 0
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 20.0
    ipu_python: str = ""
    ipu_device_iterations: Count = 16
    ipu_model: bool = False
    ipu_cache: str = ""
    ipu_memory_proportion: Annotated[float, Field(ge=0, le=1)] = 0.0
    ipu_count: PowerOfTwo = 1
    ipu_workers: Count = 1
    ipu_recompute: bool = False


Trained = Annotated[str, StringConstraints(pattern=r"^(all|head|norms|low-rank|last-[1-9][0-9]?)$")]
"""Which weights: all, the last layer, normalisations and the last layer, updates of low rank, or the last K stages."""


class ModelSpec(Record):
    """A network of the catalogue by name, with all it takes to build it again; and which of its weights are trained."""

    name: str
    spatial_dims: Literal[2, 3]
    in_channels: Count
    out_channels: Count
    width: Count
    weight_standardization: bool = False
    norm: Norm = "group"
    trained: Trained = "all"
    rank: Count | None = None

    @property
    def plain(self) -> Self:
        """The same network after training, when every weight is as good as any other."""
        return self.model_copy(update={"trained": "all", "rank": None})


class LossSpec(Record):
    """Weights of what training makes small: Dice (of segmentations alone), and cross-entropy.

    Where the target is positive, cross-entropy counts `positive_weight` times. It is a public constant of the recipe:
    counted from the private patients, it would be a statistic of theirs that nobody paid for.
    """

    dice: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    cross_entropy: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    positive_weight: Positive = 1.0


class TaskSpec(Record):
    """What the network is trained for: one logit per class of a patient, or one logit per voxel and region."""

    kind: Literal["classification", "segmentation"]
    outputs: Annotated[tuple[str, ...], Field(min_length=1)]
    loss: LossSpec = LossSpec()


class Attacks(Record):
    """The best that any attacker can do, as upper bounds in shares of 1.

    `tpr_at_fpr`: true-positive rate of telling whether a patient took part, by false-positive rate; `reconstruction`:
    chance of rebuilding a record that is guessed with chance `prior`.
    """

    tpr_at_fpr: dict[str, float]
    balanced_accuracy: float
    reconstruction: float
    prior: float


class Statement(Record):
    """The guarantee in numbers and words (promise 8: an epsilon is never printed alone).

    `epsilon` is None where nothing is guaranteed; `valid` is False then, and with fixed noise (`--demo-seed`).
    """

    epsilon: Annotated[float, Field(ge=0)] | None
    delta: Probability
    unit: Unit = "patient"
    neighbouring: Promised = "add-or-remove-one"
    accountant: Accountant = "pld"
    sampling: str = "Poisson"
    second_opinions: dict[str, float]
    noise_multiplier: float
    sample_rate: float
    clip_norm: float | None
    steps: int
    assumptions: tuple[str, ...]
    covers: tuple[str, ...]
    does_not_cover: tuple[str, ...]
    attacks: Attacks | None = None
    valid: bool
    why_invalid: str = ""
    words: str
