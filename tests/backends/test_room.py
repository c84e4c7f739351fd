"""The fused engine holds little beside an ordinary step, and what there is room for changes no number."""

import statistics

import pytest
import torch
from torch import nn

from dpmed.backends.bench import ORDINARY, ways_to_step
from dpmed.backends.bench_cases import cases
from dpmed.backends.capacity import keep_freed_memory
from dpmed.backends.engines import nano
from dpmed.backends.fused import Fused, conv_tap
from dpmed.backends.fused.choice import Chooser
from dpmed.backends.fused.collect import Collector
from dpmed.backends.fused.room import KEPT, LAID_OUT, Room
from dpmed.backends.peak import RESET, peak_bytes
from dpmed.core.recipe import load_recipe, shipped_recipes
from dpmed.core.specs import ClippingSpec
from dpmed.data.tensors import PatientTensors

CLIP = ClippingSpec(l2_clip_norm=0.1)
BOUND = 1.5


class Forced(Chooser):
    """Always the same way, where a layer has it."""

    def __init__(self, way):
        super().__init__()
        self.way = way

    def fastest(self, case, ways):
        name = self.chosen[case] = self.way if self.way in ways else next(iter(ways))
        return name


def loss(logits, targets):
    return nn.functional.binary_cross_entropy_with_logits(logits.flatten(1).mean(1), targets)


def network():
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, 5, 3, stride=2), nn.Flatten(), nn.Linear(45, 20)
    return nn.Sequential(*layers).double()


def patients(count, draws=2):
    generator = torch.Generator().manual_seed(0)
    return [
        PatientTensors(
            torch.randn((draws, 3, 8, 7), generator=generator, dtype=torch.float64),
            torch.full((draws,), float(index % 2), dtype=torch.float64),
        )
        for index in range(count)
    ]


def assert_agrees(fused, model, cohort, chunk):
    one = nano(model, loss, cohort, CLIP, 1).values
    for name, value in fused(model, loss, cohort, CLIP, chunk).values.items():
        torch.testing.assert_close(value, one[name], rtol=1e-9, atol=1e-12)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.skipif(not RESET.exists(), reason="the system does not tell")
@pytest.mark.parametrize("way", ["unfolded", "ghost"])
@pytest.mark.parametrize("images", [1, 4])
@pytest.mark.parametrize("name", [name for name in shipped_recipes() if load_recipe(name).model.trained == "all"])
def test_the_step_of_a_recipe_holds_half_as_much_again_as_an_ordinary_one_at_most(name, images, way):
    """Measured as `dpmed bench engine` does it, for the two ways that need most, whichever is fastest here."""
    keep_freed_memory()
    (case,) = cases([name]).values()
    batch = 4 if case.task.kind == "segmentation" else 16  # the system counts in groups of pages
    steps = ways_to_step(case, batch=batch, images=images, device="cpu", fused=Fused(Forced(way)))
    plain, own = (_peak(steps[engine]) for engine in (ORDINARY, "fused"))
    assert own <= BOUND * plain


def _peak(step):
    step()
    return statistics.median(peak_bytes(step, "cpu") for _ in range(3))


@pytest.mark.parametrize("spare", [1, 15_000, 30_000, 80_000])
@pytest.mark.parametrize("way", ["unfolded", "ghost"])
def test_as_many_patients_at_once_as_there_is_room_for_give_the_same_numbers(spare, way, monkeypatch):
    monkeypatch.setattr(Room, "spare", property(lambda self: spare))
    monkeypatch.setattr(Room, "fits", lambda self, values: True)
    fused = Fused(Forced(way))
    assert_agrees(fused, network(), patients(5), 5)
    taken = {count for name, count in fused.chooser.plans.values() if name == way}
    assert bool(taken) == (spare > 1)
    assert all(1 <= count <= 5 for count in taken)


def test_a_way_that_is_right_for_few_patients_is_not_taken_for_many_without_room(monkeypatch):
    monkeypatch.setattr(conv_tap, "MOST_PAIRS", 2 * (2 * 8 * 7) ** 2)
    monkeypatch.setattr(Room, "spare", property(lambda self: 10**6))
    monkeypatch.setattr(Room, "fits", lambda self, values: True)
    fused, model = Fused(Forced("ghost")), network()
    for chunk in (2, 6):
        assert_agrees(fused, model, patients(6), chunk)
    assert {way for way, _ in fused.chooser.plans.values()} >= {"ghost", "by patient"}


@pytest.mark.parametrize("has_room", [True, False])
def test_weights_that_outweigh_what_there_is_room_for_are_added_up_later(has_room, monkeypatch):
    monkeypatch.setattr(Room, "fits", lambda self, values: has_room)
    put_off = []

    def noted(self, name, later, _):
        put_off.append(name)
        self.later[name] = later

    monkeypatch.setattr(Collector, "put_off", noted)
    assert_agrees(Fused(Forced("by patient")), network(), patients(8, draws=1), 8)
    assert put_off == ([] if has_room else ["4.weight"])


def test_what_two_layers_save_takes_room_once():
    room, images = Room(3), torch.ones(3, 2, 4)
    for saved in (images, images.detach(), torch.ones(3, 8)):
        room.save(saved)
    assert room.saved == 48
    assert room.spare == int(LAID_OUT * 48)
    room.take(5)
    assert room.fits(int(KEPT * 48) - 5)
    assert not room.fits(int(KEPT * 48) - 4)


def test_the_gradients_of_one_patient_take_no_room_that_an_ordinary_step_would_not():
    collector = Collector(1, 2)
    collector.keep("weight", torch.ones(1, 7))
    assert collector.room.taken == 0
    more = Collector(4, 2)
    for _ in range(2):
        more.keep("weight", torch.ones(4, 7))
    assert more.room.taken == 21


def test_gradients_are_let_go_of_as_they_are_added_up():
    collector = Collector(2, 1)
    for name, size in (("a", 5000), ("b", 6000), ("c", 3), ("d", 3)):
        collector.keep(name, torch.ones(2, size))
    left = [(name, set(collector.kept)) for name, _ in collector.weighted(dict.fromkeys("abcd", torch.ones(2)))]
    assert left == [("a", {"b", "c", "d"}), ("b", {"c", "d"}), ("c", set()), ("d", set())]
