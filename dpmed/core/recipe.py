"""A recipe: everything that decides a training run except the data. TOML in, one frozen record out."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from dpmed.core.errors import ConfigError
from dpmed.core.manifest import Task
from dpmed.core.recipe_data import DataRecipe as DataRecipe
from dpmed.core.record import Record, describe
from dpmed.core.specs import (
    ClippingMode,
    Count,
    HardwareFlags,
    LossSpec,
    Norm,
    Positive,
    Probability,
    Sampling,
    Trained,
    Training,
)

NO_OTHER_SAMPLING = (
    "only poisson and truncated-poisson are offered, because only their epsilon is known exactly; shuffled or fixed "
    "batches accounted as Poisson understate it: at least 10.0 where 3.24 is said (noise 0.5, one epoch of 1,000 "
    "batches; Chua et al. 2024)"
)
Plan = Literal["as written", "by rule"]
RULED = {"privacy": ("expected_batch_size", "steps"), "optimizer": ("learning_rate",), "data": ("draws_per_patient",)}
"""What a plan by rule decides."""
HINT = "dpmed recipes show NAME prints every key with its value"
HINTS = {
    "model.trained": "--set model.trained=all, head, norms, low-rank, or last-2 for the last two stages",
    "privacy.epsilon": "8 is usual for images, below 1 is strong; without any guarantee, to compare: --non-private",
    "privacy.delta": "less than 1 / patients, such as --delta 1e-3 for some hundred patients",
}


class ModelRecipe(Record):
    """A network of the catalogue and its width (channels of the first stage).

    `weight_standardization` keeps each convolution's weights at mean 0 and one size (arXiv:1903.10520). `norm` is
    "group" (GroupNorm) or, for ResNets with standardised weights, "none".

    `trained` says which weights are: "all", "head" (the last layer), "norms" (normalisations and head), "last-K" (the
    last K stages and the head, such as last-2), or "low-rank": updates of `rank` beside frozen layers, None being four.
    `pretrained` "imagenet" starts from the published weights that an installed package holds; `--init` overrides it.
    """

    name: str
    width: Count = 16
    weight_standardization: bool = False
    norm: Norm = "group"
    trained: Trained = "all"
    rank: Count | None = None
    pretrained: Literal["", "imagenet"] = ""

    @model_validator(mode="after")
    def _rank_is_used(self) -> "ModelRecipe":
        if self.rank is not None and self.trained != "low-rank":
            raise ValueError("rank needs trained low-rank")
        return self


class PrivacyRecipe(Record):
    """What is promised. The noise is calibrated to `epsilon`, unless `noise_multiplier` sets it outright.

    `sampling` is "poisson", or "truncated-poisson" for machines of fixed shapes: no step then takes more than
    `truncate_at` patients; None is so many that the cut costs next to nothing.

    `mechanism` is "dp-sgd", or "bandmf", whose noise of one step is partly taken back by the `bands - 1` after it, and
    in which a patient is drawn in every `bands`-th step at most; None is four.

    With `plan` "by rule", expected batch, steps, learning rate and draws that the recipe leaves out follow from epsilon
    and the number of patients; set by `--set`, it leaves out those of the recipe's file too.
    """

    plan: Plan = "as written"
    epsilon: Positive = 8.0
    delta: Probability = 1e-3
    clip_norm: Positive = 1.0
    clipping: ClippingMode = "flat"
    expected_batch_size: Count = 32
    steps: Count = 100
    noise_multiplier: Positive | None = None
    mechanism: Training = "dp-sgd"
    bands: Count | None = None
    sampling: Sampling = "poisson"
    truncate_at: Count | None = None

    @field_validator("sampling", mode="before")
    @classmethod
    def _is_exact(cls, value: object) -> object:
        if value not in get_args(Sampling):
            raise ValueError(NO_OTHER_SAMPLING)
        return value

    @model_validator(mode="after")
    def _variants_fit(self) -> "PrivacyRecipe":
        if self.bands is not None and self.mechanism != "bandmf":
            raise ValueError("bands need mechanism bandmf")
        if self.mechanism == "bandmf" and self.sampling != "poisson":
            raise ValueError("what truncation costs under bandmf is not known; use one of the two")
        if self.truncate_at is not None and self.sampling != "truncated-poisson":
            raise ValueError("truncate_at needs sampling truncated-poisson")
        if self.truncate_at is not None and self.truncate_at < self.expected_batch_size:
            raise ValueError("truncate_at must not be below expected_batch_size, or most patients drawn are dropped")
        return self


class OptimizerRecipe(Record):
    """How a noisy gradient changes the weights. `ema_decay` 0 keeps no moving average."""

    name: Literal["sgd", "adam"] = "sgd"
    learning_rate: Positive = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Recipe(Record):
    """The whole of a recipe file."""

    name: str
    summary: str
    task: Task
    data: DataRecipe
    model: ModelRecipe
    loss: LossSpec = LossSpec()
    privacy: PrivacyRecipe = PrivacyRecipe()
    optimizer: OptimizerRecipe = OptimizerRecipe()
    hardware: HardwareFlags = HardwareFlags()

    @model_validator(mode="after")
    def _something_is_learned(self) -> "Recipe":
        if self.loss.cross_entropy == 0 and (self.loss.dice == 0 or self.task == "covid-ct"):
            raise ValueError("loss: nothing would be learned; give cross_entropy a weight, or dice for segmentations")
        return self


def shipped_recipes() -> tuple[str, ...]:
    """The names that `dpmed recipes` lists."""
    folder = resources.files("dpmed.recipes")
    return tuple(sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml")))


def recipe_text(name_or_file: str) -> str:
    """The TOML text of a shipped recipe or of a file."""
    if name_or_file in shipped_recipes():
        return resources.files("dpmed.recipes").joinpath(f"{name_or_file}.toml").read_text()
    path = Path(name_or_file)
    if path.suffix == ".toml" and path.is_file():
        return path.read_text()
    raise ConfigError(
        f"no recipe {name_or_file!r}{did_you_mean(name_or_file, shipped_recipes())}",
        hint="dpmed recipes lists the shipped ones; a file must end in .toml",
    )


def load_recipe(name_or_file: str, *, settings: Iterable[str] = ()) -> Recipe:
    """Read a recipe and apply `KEY=VALUE` settings such as `privacy.clip_norm=0.5`.

    Raises `ConfigError` for an unknown recipe or key (with the nearest known one) and for a value out of range.
    """
    try:
        content = tomllib.loads(recipe_text(name_or_file))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the recipe is not valid TOML: {error}", hint="dpmed recipes show covid-ct") from None
    settings = tuple(settings)
    if _plans_by_rule(settings):
        content |= {
            table: {key: value for key, value in content.get(table, {}).items() if key not in ruled}
            for table, ruled in RULED.items()
        }
    for setting in settings:
        _apply(content, setting)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise _refusal(error) from None


def _plans_by_rule(settings: Iterable[str]) -> bool:
    pairs = [setting.partition("=") for setting in settings]
    return any(key.strip() == "privacy.plan" and _toml_value(value.strip()) == "by rule" for key, _, value in pairs)


def _apply(content: dict[str, Any], setting: str) -> None:
    key, equals, value = setting.partition("=")
    if not equals:
        raise ConfigError(f"--set {setting!r} is not KEY=VALUE", hint="for example --set privacy.clip_norm=0.5")
    *tables, leaf = key.strip().split(".")
    for table in tables:
        content = content.setdefault(table, {})
        if not isinstance(content, dict):
            raise ConfigError(f"--set {key}: {table} is a value, not a table", hint="dpmed recipes show NAME")
    content[leaf] = _toml_value(value.strip())


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _refusal(error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False)[0]
    key, value = ".".join(str(part) for part in first["loc"]), first["input"]
    if first["type"] == "extra_forbidden":
        tables = {key.partition(".")[0] for key in known_keys()}
        message = f"unknown recipe key {key!r}{did_you_mean(key, (*known_keys(), *tables))}"
    elif isinstance(value, int | float):  # a number names nobody; a text might
        message = f"recipe key {key}: {first['msg'].replace('Input', f'{value:g}', 1)}"
    else:
        message = f"recipe key {describe(error)}"
    return ConfigError(message, hint=HINTS.get(key, HINT))


def known_keys() -> tuple[str, ...]:
    """Every key a recipe may hold, dotted."""
    return tuple(_keys_of(Recipe, ""))


def _keys_of(record: type[Record], prefix: str) -> Iterable[str]:
    for name, field in record.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Record):
            yield from _keys_of(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """A suffix that names the nearest known word, or nothing. A bare key also matches by its last part."""
    words = tuple(known)
    by_leaf: Mapping[str, str] = {word.rsplit(".", 1)[-1]: word for word in words}
    near = difflib.get_close_matches(wrong, words, n=1, cutoff=0.6)
    if not near:
        near = [by_leaf[leaf] for leaf in difflib.get_close_matches(wrong.rsplit(".", 1)[-1], by_leaf, n=1)]
    return f"; did you mean {near[0]!r}?" if near else ""
