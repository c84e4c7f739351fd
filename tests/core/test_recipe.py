"""Recipes: every key can be set, a wrong one is named with its nearest neighbour, no value is dumped."""

import pytest

from dpmed.core.errors import ConfigError
from dpmed.core.recipe import Recipe, did_you_mean, known_keys, load_recipe, recipe_text, shipped_recipes

OTHER = {
    "name": ("mine", "mine"),
    "summary": ('"another one"', "another one"),
    "task": ("brats", "brats"),
    "data.modalities": ('["t1", "flair"]', ("t1", "flair")),
    "data.spatial_dims": ("2", 2),
    "data.image_size": ("[48, 40]", (48, 40)),
    "data.spacing_mm": ("[1.5, 2]", (1.5, 2.0)),
    "data.window_hu": ("[-500, 500]", (-500.0, 500.0)),
    "data.draws_per_patient": ("7", 7),
    "data.foreground_fraction": ("0.25", 0.25),
    "data.slices": ("content", "content"),
    "data.augment": ("false", False),
    "model.name": ("unet", "unet"),
    "model.width": ("5", 5),
    "model.weight_standardization": ("true", True),
    "model.norm": ("none", "none"),
    "loss.dice": ("0.5", 0.5),
    "loss.cross_entropy": ("2", 2.0),
    "loss.positive_weight": ("3", 3.0),
    "model.trained": ("last-2", "last-2"),
    "model.rank": ("3", 3),
    "model.pretrained": ("imagenet", "imagenet"),
    "privacy.plan": ("by rule", "by rule"),
    "privacy.epsilon": ("2.5", 2.5),
    "privacy.delta": ("1e-4", 1e-4),
    "privacy.clip_norm": ("0.3", 0.3),
    "privacy.clipping": ("per-layer", "per-layer"),
    "privacy.expected_batch_size": ("9", 9),
    "privacy.steps": ("11", 11),
    "privacy.noise_multiplier": ("1.7", 1.7),
    "privacy.sampling": ("truncated-poisson", "truncated-poisson"),
    "privacy.truncate_at": ("70", 70),
    "privacy.mechanism": ("bandmf", "bandmf"),
    "privacy.bands": ("2", 2),
    "optimizer.name": ("sgd", "sgd"),
    "optimizer.learning_rate": ("0.02", 0.02),
    "optimizer.momentum": ("0.1", 0.1),
    "optimizer.weight_decay": ("0.01", 0.01),
    "optimizer.schedule": ("constant", "constant"),
    "optimizer.warmup_steps": ("3", 3),
    "optimizer.ema_decay": ("0.5", 0.5),
    "hardware.device": ("cuda", "cuda"),
    "hardware.engine": ("nano", "nano"),
    "hardware.nano_batch": ("2", 2),
    "hardware.precision": ("float64", "float64"),
    "hardware.workers": ("1", 1),
    "hardware.threads": ("1", 1),
    "hardware.memory_limit_gib": ("2", 2.0),
    "hardware.checkpoint_seconds": ("0", 0.0),
    "hardware.ipu_python": ("python3.8", "python3.8"),
    "hardware.ipu_device_iterations": ("8", 8),
    "hardware.ipu_model": ("true", True),
    "hardware.ipu_cache": ("programs", "programs"),
    "hardware.ipu_memory_proportion": ("0.1", 0.1),
    "hardware.ipu_count": ("4", 4),
    "hardware.ipu_workers": ("2", 2),
    "hardware.ipu_recompute": ("true", True),
}

NEEDS = {
    "privacy.truncate_at": ["privacy.sampling=truncated-poisson"],
    "privacy.bands": ["privacy.mechanism=bandmf"],
    "model.rank": ["model.trained=low-rank"],
}
"""What has to be set with a key."""


def at(recipe: Recipe, key: str):
    value = recipe
    for part in key.split("."):
        value = getattr(value, part)
    return value


def test_this_table_knows_every_key():
    assert set(OTHER) == set(known_keys())


@pytest.mark.parametrize("key", known_keys())
def test_set_reaches_every_key(key):
    text, value = OTHER[key]
    assert at(load_recipe("covid-ct", settings=[*NEEDS.get(key, ()), f"{key}={text}"]), key) == value


def test_the_last_setting_of_a_key_wins():
    assert load_recipe("covid-ct", settings=["model.width=4", "model.width=6"]).model.width == 6


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_loads_and_bears_its_own_name(name):
    assert load_recipe(name).name == name


def test_the_four_promised_recipes_are_shipped():
    assert {"covid-ct", "brats-unet", "covid-ct-tiny", "brats-tiny"} <= set(shipped_recipes())


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("privacy.clipnorm", "privacy.clip_norm"),
        ("clip_norm", "privacy.clip_norm"),
        ("optimizer.lerning_rate", "optimizer.learning_rate"),
        ("privcy.epsilon", "privacy"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(wrong, right):
    with pytest.raises(ConfigError, match=rf"did you mean '{right}'\?"):
        load_recipe("covid-ct", settings=[f"{wrong}=1"])


def test_an_unknown_recipe_is_refused_with_the_nearest_known_one():
    with pytest.raises(ConfigError, match=r"did you mean 'covid-ct'\?"):
        load_recipe("covidct")


def test_a_word_like_no_other_gets_no_suggestion():
    assert did_you_mean("xylophone", known_keys()) == ""


@pytest.mark.parametrize(
    "setting",
    [
        "privacy.epsilon=0",
        "privacy.epsilon=inf",
        "privacy.epsilon=nan",
        "privacy.delta=1",
        "privacy.clip_norm=-1",
        "privacy.steps=0",
        "privacy.noise_multiplier=0",
        "data.image_size=[64]",
        "data.spacing_mm=[1.0, 1.0, 1.0]",
        "data.window_hu=[400, -1000]",
        "data.modalities=[]",
        "optimizer.momentum=1.0",
        "model.trained=tail",
        "model.trained=last-0",
        "model.rank=0",
        "hardware.device=tpu",
        "hardware.ipu_count=3",
        "hardware.ipu_workers=0",
    ],
)
def test_a_value_out_of_range_is_refused_with_its_key_in_one_short_line(setting):
    key, _, _ = setting.partition("=")
    with pytest.raises(ConfigError) as refusal:
        load_recipe("covid-ct", settings=[setting])
    message = refusal.value.message
    assert key.split(".")[0] in message
    assert len(message) < 160
    assert "\n" not in message
    assert refusal.value.hint


@pytest.mark.parametrize(("value", "said"), [("0", "0 should be greater than 0"), ("-1.5", "-1.5 should be")])
def test_a_number_out_of_range_is_repeated_with_a_cure_of_its_own(value, said):
    with pytest.raises(ConfigError, match=f"privacy.epsilon: {said}") as refusal:
        load_recipe("covid-ct", settings=[f"privacy.epsilon={value}"])
    assert "--non-private" in refusal.value.hint


def test_a_long_value_is_not_repeated():
    with pytest.raises(ConfigError) as refusal:
        load_recipe("covid-ct", settings=["privacy.epsilon=" + "DOE^JANE" * 99])
    assert "DOE" not in refusal.value.message


@pytest.mark.parametrize("setting", ["privacy.epsilon", "name.x=1"])
def test_a_setting_that_is_no_key_and_value_is_refused(setting):
    with pytest.raises(ConfigError) as refusal:
        load_recipe("covid-ct", settings=[setting])
    assert refusal.value.hint


def test_a_recipe_can_be_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(recipe_text("covid-ct").replace('"covid-ct"', '"mine"', 1))
    assert load_recipe(str(path)).name == "mine"


@pytest.mark.parametrize("content", [b"= = =", b"\xff\xfe", b""], ids=["no toml", "no text", "empty"])
def test_a_damaged_recipe_file_is_refused(tmp_path, content):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        load_recipe(str(path))


@pytest.mark.parametrize("sampling", ["shuffle", "fixed", "without-replacement"])
def test_sampling_whose_epsilon_is_not_exact_is_refused_with_the_reason(sampling):
    with pytest.raises(ConfigError, match=r"at least 10\.0 where 3\.24 is said"):
        load_recipe("covid-ct", settings=[f"privacy.sampling={sampling}"])


def test_a_truncation_that_would_be_ignored_or_drop_most_patients_is_refused():
    for settings in (["privacy.truncate_at=90"], [*NEEDS["privacy.truncate_at"], "privacy.truncate_at=10"]):
        with pytest.raises(ConfigError, match="truncate_at"):
            load_recipe("covid-ct", settings=settings)


def test_a_loss_of_nothing_is_refused():
    for settings in (["loss.cross_entropy=0"], ["loss.positive_weight=0"], ["loss.dice=-1"]):
        with pytest.raises(ConfigError, match="loss"):
            load_recipe("covid-ct", settings=settings)
    assert load_recipe("brats-unet", settings=["loss.cross_entropy=0"]).loss.dice == 1
    with pytest.raises(ConfigError, match="nothing would be learned"):
        load_recipe("brats-unet", settings=["loss.cross_entropy=0", "loss.dice=0"])


def test_bands_need_their_mechanism_and_go_without_truncation():
    for settings in (["privacy.bands=2"], ["privacy.mechanism=bandmf", "privacy.sampling=truncated-poisson"]):
        with pytest.raises(ConfigError, match="bandmf"):
            load_recipe("covid-ct", settings=settings)


def test_a_rank_that_would_be_ignored_is_refused():
    with pytest.raises(ConfigError, match="low-rank"):
        load_recipe("covid-ct", settings=["model.trained=head", "model.rank=2"])
