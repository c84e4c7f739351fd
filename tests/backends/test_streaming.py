"""Thousands of patients a step stream through: what is held at once depends on the chunk, never on the batch."""

import weakref

import pytest
import torch

from dpmed.backends.conformance import synthetic_patients
from dpmed.backends.engines import engine
from dpmed.core.specs import ClippingSpec, ModelSpec, TaskSpec
from dpmed.data.tensors import PatientTensors
from dpmed.models import build, loss_function

TASK = TaskSpec(kind="classification", outputs=("covid",))
MODEL = ModelSpec(name="resnet10-gn", spatial_dims=2, in_channels=1, out_channels=1, width=4)
CHUNK = 4


@pytest.mark.parametrize("name", ["nano", "vmap", "fused", "auto"])
def test_no_more_patients_are_held_than_two_chunks_whatever_the_batch(name):
    torch.manual_seed(0)
    model, alive, most = build(MODEL), weakref.WeakSet(), 0

    def stream(count):
        nonlocal most
        for patient in synthetic_patients(TASK, channels=1, size=(16, 16), draws=1, patients=count):
            fresh = PatientTensors(patient.inputs.clone(), patient.targets.clone())
            alive.add(fresh.inputs)
            most = max(most, len(alive))
            yield fresh
            del fresh

    total = engine(name)(model, loss_function(TASK), stream(50), ClippingSpec(l2_clip_norm=1.0), CHUNK)
    assert total.notes.patients == 50
    assert most <= 2 * CHUNK
