"""A study as a file says it: variants of one recipe, each at some epsilons, with some seeds, on some folds."""

import json
import math
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError

from dpmed.core.errors import ConfigError, NoInputError
from dpmed.core.manifest import Task
from dpmed.core.recipe import Recipe, did_you_mean, load_recipe
from dpmed.core.record import Record, describe
from dpmed.core.specs import Positive, Probability

NAME = r"^[a-z0-9][a-z0-9._-]*$"
ONE_EACH = ("hardware.threads=1", "hardware.workers=0", "hardware.checkpoint_seconds=1e6")
"""Each process has one core, and a cell that is lost is trained anew: speed alone, so a study may set it otherwise."""

CHOICE = (
    "These variants were tried, and the recipe was chosen, by looking at the results of these very patients: the best "
    "of many looks a little better here than it is."
)


def _epsilon(value: object) -> object:
    """TOML's own `inf`, or the word, is a run without privacy."""
    return None if value == "inf" or (isinstance(value, float) and math.isinf(value)) else value


Epsilon = Annotated[Positive | None, BeforeValidator(_epsilon)]
"""None is a run without privacy."""
Seed = Annotated[int, Field(ge=0)]
Text = Annotated[str, StringConstraints(strip_whitespace=True)]
Setting = bool | int | float | str | list[Any]


class Variant(Record):
    """A row of the study: recipe keys that differ, or weights to start from; narrower than the study where it says so.

    `folds` are numbers of folds, counted from 0. `init` is a file of public weights, from the study file's folder on.
    """

    about: Text = ""
    settings: dict[str, Setting] = Field(default_factory=dict)
    init: str | None = None
    epsilons: Annotated[tuple[Epsilon, ...], Field(min_length=1)] | None = None
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] | None = None
    folds: Annotated[tuple[Seed, ...], Field(min_length=1)] | None = None


class StudyFile(Record):
    """A study. The first variant is the one that all others are compared with.

    `public` says where the data come from and why they are public; without it nothing is trained, since a search on
    private patients costs them privacy. `choice` replaces what the page says about how the variants were chosen.
    """

    name: Annotated[str, StringConstraints(pattern=NAME)]
    recipe: str
    title: Text = ""
    summary: Text = ""
    public: Text = ""
    choice: Text = CHOICE
    settings: dict[str, Setting] = Field(default_factory=dict)
    epsilons: Annotated[tuple[Epsilon, ...], Field(min_length=1)] = (None, 8.0)
    delta: Probability = 1e-3
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = (0,)
    folds: Annotated[int, Field(ge=2)] = 5
    fold_seed: Seed = 0
    variants: Annotated[dict[Annotated[str, StringConstraints(pattern=NAME)], Variant], Field(min_length=1)]


class CellKey(Record):
    """One training: a variant at an epsilon, with a seed, the patients of one fold held out."""

    variant: str
    epsilon: float | None
    seed: int
    fold: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"epsilon-{epsilon_text(self.epsilon)}-seed-{self.seed}-fold-{self.fold}"

    def __str__(self) -> str:
        privacy = "without privacy" if self.epsilon is None else f"epsilon {self.epsilon:g}"
        return f"{self.variant}, {privacy}, seed {self.seed}, fold {self.fold}"


@dataclass(frozen=True)
class Study:
    """A study that was read and checked; `file` is where it was read from."""

    told: StudyFile
    file: Path

    @property
    def task(self) -> Task:
        """What is learned."""
        return self.recipe(self.base, None).task

    @property
    def base(self) -> str:
        """The variant that all others are compared with."""
        return next(iter(self.told.variants))

    def cells(self, only: Collection[str] = ()) -> tuple[CellKey, ...]:
        """Every training, in such an order that a study that is stopped has a seed of every variant first."""
        return tuple(sorted(self._cells(only or self.told.variants), key=lambda key: key.seed))

    def recipe(self, variant: str, epsilon: float | None) -> Recipe:
        """The recipe of a variant. Raises `ConfigError` for a key or value that it does not know."""
        name = self.told.recipe
        own = [*_settings(self.told.variants[variant].settings), f"privacy.delta={self.told.delta!r}"]
        if epsilon is not None:
            own.append(f"privacy.epsilon={epsilon!r}")
        source = str(self.file.parent / name) if name.endswith(".toml") else name
        return load_recipe(source, settings=[*ONE_EACH, *_settings(self.told.settings), *own])

    def train_seed(self, key: CellKey) -> int:
        """A cell's own: with first weights in common, folds would be less independent than they look."""
        return key.seed * self.told.folds + key.fold

    def init(self, variant: str) -> Path | None:
        """The public weights that a variant starts from."""
        init = self.told.variants[variant].init
        return None if init is None else self.file.parent / init

    def _cells(self, names: Collection[str]) -> Iterator[CellKey]:
        for name in (name for name in self.told.variants if name in names):
            own = self.told.variants[name]
            for epsilon in own.epsilons or self.told.epsilons:
                for seed in own.seeds or self.told.seeds:
                    for fold in own.folds or range(self.told.folds):
                        yield CellKey(variant=name, epsilon=epsilon, seed=seed, fold=fold)


def load_study(file: Path) -> Study:
    """Read a study and every recipe in it. Raises `NoInputError` or `ConfigError` with what is wrong and where."""
    try:
        told = StudyFile.model_validate(tomllib.loads(file.read_text()))
    except FileNotFoundError:
        raise NoInputError("the study file does not exist", hint="dpmed study run STUDY.toml") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the study is not valid TOML: {error}", hint="docs/cli.md shows one") from None
    except ValidationError as error:
        raise ConfigError(f"study key {describe(error)}", hint="docs/cli.md lists the keys of a study") from None
    study = Study(told, file)
    for name in told.variants:
        _check_variant(study, name)
    return study


def check_only(study: Study, only: Collection[str]) -> None:
    """Raises `ConfigError` for a variant that the study does not have."""
    for name in only:
        if name not in study.told.variants:
            raise ConfigError(
                f"no variant {name!r} in the study{did_you_mean(name, study.told.variants)}",
                hint=f"its variants: {', '.join(study.told.variants)}",
            )


def epsilon_text(epsilon: float | None) -> str:
    """Short, for names and tables."""
    return "inf" if epsilon is None else f"{epsilon:g}"


def _settings(settings: Mapping[str, Setting]) -> list[str]:
    """As `--set` takes them; such values are written alike in JSON and TOML."""
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


def _check_variant(study: Study, name: str) -> None:
    own, told = study.told.variants[name], study.told
    if any(fold >= told.folds for fold in own.folds or ()):
        raise ConfigError(f"variant {name}: folds are counted from 0 to {told.folds - 1}", hint="narrow its folds")
    init = study.init(name)
    if init is not None and not init.is_file():
        raise ConfigError(f"variant {name}: the file of init does not exist", hint="a path from the study's folder on")
    if decided := {"privacy.epsilon", "privacy.delta"} & {*own.settings, *told.settings}:
        raise ConfigError(f"{decided.pop()} is set for a variant", hint="the study's own epsilons and delta decide it")
    try:
        recipe = study.recipe(name, None)
    except ConfigError as error:
        raise ConfigError(f"variant {name}: {error.message}", hint=error.hint) from None
    if recipe.privacy.noise_multiplier is not None:
        raise ConfigError(
            f"variant {name} sets the noise, which is calibrated to each epsilon",
            hint="leave privacy.noise_multiplier out",
        )
