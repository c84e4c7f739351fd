"""`auto` picks by time alone: the numbers, the patients and the memory limit stay what they were."""

import time

import pytest
import torch
from torch import nn

from dpmed.backends.auto import Auto
from dpmed.backends.capacity import most_at_once
from dpmed.backends.engines import PLAIN, engine, nano
from dpmed.core.errors import ConfigError
from dpmed.core.specs import ClippingSpec
from tests.backends.test_fused import Bare, agree, convolution, loss, network, patients

CLIP = ClippingSpec(l2_clip_norm=0.1)


def slow(seconds):
    def run(*arguments):
        time.sleep(seconds)
        return nano(*arguments)

    return run


def test_every_patient_counts_once_also_those_it_tried_with():
    auto, model = engine("auto"), network(convolution(2))
    for _ in range(3):
        agree(model, patients((4, 9, 8), count=7), fused=auto, chunk=5)
    assert auto.pick is not None


def test_the_fastest_is_picked_and_kept():
    auto = Auto({"nano": slow(0.5), "vmap": slow(0.4)})
    auto(network(convolution(2)), loss, patients((4, 9, 8)), CLIP, 2)
    assert auto.pick[0] == "fused"


def test_an_empty_draw_is_no_time_to_pick():
    auto, model = engine("auto"), network(convolution(2))
    empty = auto(model, loss, [], CLIP, 4)
    assert auto.pick is None and not any(value.any() for value in empty.values.values())
    assert empty.l2_bound == 0.1 and empty.notes.patients == 0
    agree(model, patients((4, 9, 8)), fused=auto)


def test_an_engine_that_does_not_know_a_network_is_not_picked():
    auto = Auto({"nano": slow(0.2), "vmap": PLAIN["vmap"]})
    agree(network(Bare()), patients((6, 5)), fused=auto)
    assert auto.pick[0] == "vmap"


def test_no_more_patients_at_a_time_than_memory_allows():
    model, images = network(convolution(2, padding=1)), torch.randn(2, 4, 8, 8, dtype=torch.float64)
    made = 2 * 8 * 8 * 8 * (4 + 6 + 6) + 2 * 8
    assert most_at_once(model, images, limit_bytes=1e12, asked=16) == 16
    assert most_at_once(model, images, limit_bytes=3 * 5 * made * 1.01, asked=16) == 5
    assert most_at_once(model, images, limit_bytes=10, asked=16) == 1
    assert not any(layer._forward_hooks for layer in model.modules())


def test_an_error_of_the_fused_engine_itself_still_reaches_who_asked_for_it():
    with pytest.raises(ConfigError):
        engine("fused")(nn.Sequential(Bare()).double(), loss, patients((6, 5)), CLIP, 2)
