"""A study file says what is trained, and is refused where it does not say it well."""

import pytest

from dpmed.core.errors import ConfigError, NoInputError
from dpmed.study.plan import check_only, load_study


def test_cells_are_variants_times_epsilons_times_seeds_times_folds(write_study):
    cells = load_study(write_study(seeds="[0, 1]")).cells()
    assert len(cells) == len(set(cells)) == (2 + 1) * 2 * 2
    assert {(cell.variant, cell.epsilon) for cell in cells} == {("base", None), ("base", 8.0), ("no-ema", 8.0)}


def test_every_variant_has_its_first_seed_before_any_has_its_second(write_study):
    seeds = [cell.seed for cell in load_study(write_study(seeds="[1, 0]")).cells()]
    assert seeds == sorted(seeds)


def test_a_variant_may_be_narrower_than_the_study(write_study):
    more = "[variants.narrow]\nepsilons = [inf]\nseeds = [7]\nfolds = [1]"
    (cell,) = load_study(write_study(more)).cells(["narrow"])
    assert (cell.epsilon, cell.seed, cell.fold) == (None, 7, 1)


def test_settings_reach_the_recipe_and_the_variants_come_last(write_study):
    study = load_study(write_study(settings='{ "optimizer.learning_rate" = 0.3, "data.image_size" = [32, 32] }'))
    assert study.recipe("base", 8.0).optimizer.learning_rate == 0.3
    assert study.recipe("no-ema", 8.0).optimizer.learning_rate == 0.2
    assert study.recipe("no-ema", 8.0).data.image_size == (32, 32)
    assert study.recipe("no-ema", 3.0).privacy.epsilon == 3.0
    assert study.recipe("no-ema", 3.0).privacy.delta == 1e-2
    assert study.recipe("base", None).hardware.threads == 1


def test_every_training_has_a_seed_of_its_own(write_study):
    study = load_study(write_study(seeds="[0, 1, 2]"))
    of_base = [study.train_seed(cell) for cell in study.cells(["base"]) if cell.epsilon is None]
    assert len(of_base) == len(set(of_base)) == 6


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('[variants.x]\nsettings = { "optimizer.momentun" = 0.5 }', "variant x: unknown recipe key"),
        ("[variants.x]\nfolds = [2]", "variant x: folds are counted from 0 to 1"),
        ('[variants.x]\ninit = "none.safetensors"', "variant x: the file of init does not exist"),
        ("[variants.x]\nepsilon = 3", "study key variants.x.epsilon"),
        ("[variants.x]\nepsilons = [0]", "study key variants.x.epsilons"),
        ("[variants.X]", "study key variants.X"),
        ("[variants.x", "not valid TOML"),
        ('[variants.x]\nsettings = { "privacy.epsilon" = 3.0 }', "privacy.epsilon is set for a variant"),
        ('[variants.x]\nsettings = { "privacy.noise_multiplier" = 3.0 }', "variant x sets the noise"),
    ],
)
def test_what_is_wrong_is_named(write_study, more, said):
    with pytest.raises(ConfigError) as refused:
        load_study(write_study(more))
    assert said in refused.value.message


def test_a_study_that_is_not_there_is_told(tmp_path):
    with pytest.raises(NoInputError):
        load_study(tmp_path / "none.toml")


def test_an_unknown_variant_is_told_with_the_nearest(study):
    with pytest.raises(ConfigError, match="did you mean 'no-ema'"):
        check_only(study, ["noema"])


@pytest.mark.parametrize("name", ["covid-ct", "lgg-mri"])
def test_the_shipped_studies_are_whole(name):
    from pathlib import Path

    study = load_study(Path(__file__).parents[2] / "studies" / f"{name}.toml")
    assert study.told.public
    assert study.base == "base"
    assert {cell.epsilon for cell in study.cells(["base"])} == {None, 20.0, 8.0, 3.0, 1.0}
    assert all(variant.about for variant in study.told.variants.values())
    for variant in study.told.variants:
        study.recipe(variant, 8.0)
