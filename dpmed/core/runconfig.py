"""What a trained model needs to be built, fed and judged elsewhere: `release/config.json`."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from dpmed.core.errors import MismatchError
from dpmed.core.folders import RunFolder
from dpmed.core.labels import LabelScheme
from dpmed.core.recipe import Recipe
from dpmed.core.record import Record
from dpmed.core.specs import ModelSpec, PrivacySpec, TaskSpec


class RunConfig(Record):
    """The public configuration of a run; all of it may leave the hospital.

    `run` is a random name; `patients` is the number of training patients, public under add-or-remove-one by
    convention; `privacy` is None for the non-private comparison; `init_sha256` names the weights started from, and
    `init_seen` tells what they had seen, where that is on record.
    """

    schema_: Literal["dpmed.run/1"] = Field(default="dpmed.run/1", alias="schema")
    run: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    dpmed_version: str
    recipe: Recipe
    model: ModelSpec
    task: TaskSpec
    label_scheme: LabelScheme | None
    privacy: PrivacySpec | None
    patients: int
    seed: int
    demo_seed: int | None
    init_sha256: str | None
    init_seen: str | None = None
    device: str
    engine: str

    def to_json(self) -> str:
        """JSON text, with the schema under its public name."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"

    @classmethod
    def load(cls, run: RunFolder) -> "RunConfig":
        """The configuration of a run folder."""
        try:
            return cls.from_json(run.config.read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise MismatchError(
                "this is not a run folder: release/config.json is missing",
                hint="train first: dpmed train RECIPE --data DIR --run DIR",
            ) from None
