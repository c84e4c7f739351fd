"""The statement says all that an epsilon needs beside it, and says INVALID where nothing is promised."""

import pytest

from dpmed.core.errors import MismatchError
from dpmed.core.recipe import load_recipe
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import ClippingSpec, Entry, ModelSpec, PrivacySpec, TaskSpec
from dpmed.privacy import statement as statements
from dpmed.privacy.statement import statement


def _config(**changes) -> RunConfig:
    fields = {
        "run": "0" * 32,
        "dpmed_version": "0",
        "recipe": load_recipe("covid-ct"),
        "model": ModelSpec(name="resnet10-gn", spatial_dims=2, in_channels=1, out_channels=1, width=4),
        "task": TaskSpec(kind="classification", outputs=("covid",)),
        "label_scheme": None,
        "privacy": PrivacySpec(
            epsilon=None,
            delta=1e-3,
            clipping=ClippingSpec(l2_clip_norm=1.0),
            sample_rate=0.1,
            expected_batch_size=20,
            steps=10,
            noise_multiplier=2.0,
        ),
        "patients": 200,
        "seed": 0,
        "demo_seed": None,
        "init_sha256": None,
        "device": "cpu",
        "engine": "nano",
    }
    return RunConfig(**fields | changes)


def _entries(mechanism: str = "poisson-subsampled-gaussian", steps: int = 10) -> list[Entry]:
    noise = 2.0 if mechanism != "none" else 0.0
    return [
        Entry(step=step, mechanism=mechanism, sample_rate=0.1, noise_multiplier=noise, clip_norm=1.0)
        for step in range(steps)
    ]


def test_an_epsilon_is_never_stated_alone():
    said = statement(_config(), _entries())
    assert said.valid and said.epsilon is not None
    for word in (f"{said.epsilon:.3f}", "delta 0.001", "per patient", "add-or-remove-one", "PLD", "PRV", "Poisson"):
        assert word in said.words
    assert said.covers and said.does_not_cover and said.second_opinions.keys() == {"rdp", "prv"}
    assert said.second_opinions["rdp"] >= said.epsilon


@pytest.mark.parametrize(
    ("config", "mechanism"),
    [
        (_config(privacy=None), "none"),
        (_config(), "none"),
        (_config(demo_seed=1), "poisson-subsampled-gaussian"),
    ],
)
def test_a_run_without_secret_noise_is_invalid_and_has_no_epsilon(config, mechanism):
    said = statement(config, _entries(mechanism))
    assert not said.valid and said.epsilon is None and said.why_invalid and not said.covers
    assert said.words.startswith("No guarantee")


def test_a_delta_that_could_expose_a_patient_is_named():
    said = statement(_config(patients=5000), _entries())
    assert any("not below 1/5000" in line for line in said.assumptions)
    assert not any("not below" in line for line in statement(_config(), _entries()).assumptions)


def test_borrowed_weights_are_an_assumption():
    said = statement(_config(init_sha256="0" * 64), _entries())
    assert any("started from" in line for line in said.assumptions)


def test_a_number_that_the_second_opinion_does_not_support_is_not_stated(monkeypatch):
    statements._reckoned.cache_clear()
    monkeypatch.setattr(statements, "epsilon", lambda runs, delta: 0.001)
    with pytest.raises(MismatchError, match="accountants disagree"):
        statement(_config(), _entries())


def test_nothing_paid_is_nothing_spent():
    said = statement(_config(), [])
    assert said.epsilon == 0 and said.steps == 0
