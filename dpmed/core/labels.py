"""What the numbers in a mask mean. Declared by the user at ingest, never guessed (promise 10)."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from dpmed.core.errors import ConfigError
from dpmed.core.record import Record, describe

RegionLabels = Annotated[tuple[int, ...], Field(min_length=1)]


class LabelScheme(Record):
    """Named regions, each the union of some mask labels; 0 is background.

    Regions may overlap: in BraTS the enhancing tumour is part of the core, which is part of the whole tumour.
    """

    name: str
    regions: Annotated[dict[str, RegionLabels], Field(min_length=1)]

    @property
    def labels(self) -> frozenset[int]:
        """Every label that a mask of this scheme may hold, background included."""
        return frozenset({0}).union(*self.regions.values())


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        # BraTS 2017-2020: 1 necrotic and non-enhancing core, 2 edema, 4 enhancing (Bakas et al. 2018).
        LabelScheme(
            name="brats",
            regions={"whole_tumour": (1, 2, 4), "tumour_core": (1, 4), "enhancing_tumour": (4,)},
        ),
        # BraTS 2012-2016: 1 necrosis, 2 edema, 3 non-enhancing core, 4 enhancing (Menze et al. 2015).
        LabelScheme(
            name="brats2013",
            regions={"whole_tumour": (1, 2, 3, 4), "tumour_core": (1, 3, 4), "enhancing_tumour": (4,)},
        ),
        LabelScheme(name="binary", regions={"whole_tumour": (1,)}),
    )
}


def label_scheme(name_or_file: str) -> LabelScheme:
    """A scheme by name, or from a TOML file with `name` and a `[regions]` table of label lists."""
    if name_or_file in SCHEMES:
        return SCHEMES[name_or_file]
    path = Path(name_or_file)
    if not path.is_file():
        raise ConfigError(
            f"label scheme {name_or_file!r} is neither a known name nor a file",
            hint=f"use --label-scheme {'|'.join(SCHEMES)} or a TOML file with name and [regions]",
        )
    try:
        return LabelScheme.model_validate(tomllib.loads(path.read_text()))
    except ValidationError as error:
        raise ConfigError(f"label scheme file: {describe(error)}", hint="see docs/cli.md, ingest") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise ConfigError("the label scheme file is not valid TOML", hint="see docs/cli.md, ingest") from None
