"""What a forward may hold: operators with a handler, one marked loss, one trace, weights changed in place only."""

import pytest
import torch
from torch import nn

F = nn.functional


class Around(nn.Module):
    """Any function of the input, with one trained weight before it and the mean of it as the loss."""

    def __init__(self, poptorch, inside, weight=(1,)):
        super().__init__()
        self.inside, self.mark = inside, poptorch.identity_loss
        self.weight = nn.Parameter(torch.ones(weight))

    def forward(self, scan):
        made = self.inside(scan * self.weight.mean())
        return self.mark(made.float(), "mean")


@pytest.fixture
def ready(poptorch):
    def make(model, training=True, iterations=1, change=None):
        options = poptorch.Options().useIpuModel(True).deviceIterations(iterations)
        if change:
            change(options)
        return poptorch.trainingModel(model, options) if training else poptorch.inferenceModel(model, options)

    return make


@pytest.fixture
def trained(poptorch, ready):
    return lambda inside, scan: ready(Around(poptorch, inside))(scan)


FLAT, DEEP = torch.randn(1, 4, 6, 6), torch.randn(1, 4, 4, 4, 4)
LABEL, KERNEL = torch.randint(0, 4, (1, 6, 6)), torch.randn(2, 4, 3, 3)
SUPPORTED = {
    "conv2d": (nn.Conv2d(4, 2, 3, stride=2, padding=1), FLAT),
    "conv3d": (nn.Conv3d(4, 2, 3, padding=1), DEEP),
    "transposed 2d": (nn.ConvTranspose2d(4, 2, 2, stride=2), FLAT),
    "transposed 3d": (nn.ConvTranspose3d(4, 2, 2, stride=2), DEEP),
    "group norm": (nn.GroupNorm(2, 4), FLAT),
    "instance norm": (nn.InstanceNorm3d(4, affine=True), DEEP),
    "prelu": (nn.PReLU(), DEEP),
    "leaky relu": (nn.LeakyReLU(), FLAT),
    "max pool 2d": (nn.MaxPool2d(2), FLAT),
    "max pool 3d": (nn.MaxPool3d(2), DEEP),
    "average pool": (nn.AvgPool3d(2), DEEP),
    "adaptive pool": (nn.AdaptiveAvgPool2d(3), FLAT),
    "global pool": (nn.AdaptiveAvgPool3d(1), DEEP),
    "nearest": (nn.Upsample(scale_factor=2, mode="nearest"), DEEP),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), FLAT),
    "linear": (nn.Sequential(nn.Flatten(), nn.Linear(144, 3), nn.Sigmoid()), FLAT),
    "pad and join": (lambda scan: torch.cat([F.pad(scan, (1, 1)), F.pad(scan, (2, 0))], 1), FLAT),
    "softmax": (lambda scan: scan.softmax(1)[:, 1:].sum((2, 3)), FLAT),
    "where": (lambda scan: torch.where(scan > 0, scan, 0.0), FLAT),
    "cross-entropy": (lambda scan: F.cross_entropy(scan, LABEL, reduction="none"), FLAT),
    "with logits": (lambda scan: F.binary_cross_entropy_with_logits(scan, torch.ones_like(scan)), FLAT),
}
REFUSED = {
    "gradient": (lambda scan: torch.autograd.grad(scan.sum(), scan)[0], FLAT, "PopART builds it later"),
    "hook": (lambda scan: scan * scan.register_hook(torch.neg).id, FLAT, "PopART builds it later"),
    "trilinear": (nn.Upsample(scale_factor=2, mode="trilinear"), DEEP, "currently only 'nearest' is supported"),
    "weighted": (lambda scan: F.cross_entropy(scan, LABEL, weight=torch.ones(4)), FLAT, "weight.* is unsupported"),
    "dilated": (nn.ConvTranspose2d(4, 2, 2, dilation=2), FLAT, "dilation"),
    "uneven pool": (nn.AdaptiveAvgPool2d(4), FLAT, "not divisible"),
    "half a pixel": (lambda scan: F.interpolate(scan, scale_factor=1.5, mode="bilinear"), FLAT, "whole scale factors"),
    "no handler": (lambda scan: torch.linalg.svdvals(scan), FLAT, r"Unsupported ops found .*linalg"),
    "read back": (lambda scan: scan * float(scan.sum().detach()), FLAT, "read back"),
}


@pytest.mark.parametrize("name", SUPPORTED)
def test_operators_with_a_handler_train(trained, name):
    assert torch.isfinite(trained(*SUPPORTED[name]))


@pytest.mark.parametrize("name", SUPPORTED)
def test_operators_with_a_handler_train_in_half(poptorch, ready, name):
    inside, scan = SUPPORTED[name]
    model = Around(poptorch, inside).half()
    result = ready(model)(scan.half())
    if isinstance(inside, nn.Module):
        inside.float()
    assert torch.isfinite(result)


def test_weights_in_float_can_be_computed_with_in_half(poptorch, ready):
    def cast(scan):
        made = F.conv2d(scan.half(), KERNEL.half())
        assert made.dtype == torch.float16
        return F.group_norm(made, 1)

    run = ready(Around(poptorch, cast))
    assert all(torch.isfinite(run(FLAT)) for _ in range(2))


@pytest.mark.parametrize("name", REFUSED)
def test_operators_without_are_refused_by_name(poptorch, trained, name):
    inside, scan, words = REFUSED[name]
    with pytest.raises(poptorch.Error, match=words):
        trained(inside, scan)


def test_wide_numbers_are_not_computed_with(poptorch, trained):
    with pytest.raises(NotImplementedError, match="float64"):
        trained(lambda scan: scan.double().sum(), FLAT)


def test_forward_is_traced_once(poptorch, ready):
    model = Around(poptorch, lambda scan: scan.exp() if model.positive else scan.abs())
    model.positive = True
    run = ready(model)
    run(FLAT)
    model.positive = False
    with pytest.raises(AssertionError, match="traced once"):
        run(FLAT)


def test_a_plain_tensor_is_a_constant(poptorch, ready):
    factor = torch.ones(1)
    run = ready(Around(poptorch, lambda scan: scan * factor))
    run(FLAT)
    factor += 1
    with pytest.raises(AssertionError, match="is a constant"):
        run(FLAT)


class Counting(nn.Module):
    """Adds up what it sees, in a buffer of floats and in one of whole numbers."""

    def __init__(self, reassign=False):
        super().__init__()
        self.reassign = reassign
        self.register_buffer("total", torch.zeros(1))
        self.register_buffer("seen", torch.zeros(1, dtype=torch.int64))

    def forward(self, scan):
        if self.reassign:
            self.total = self.total + scan.sum()
        else:
            self.total += scan.sum()
            self.seen += 1
        return self.total * 1


def test_a_buffer_changed_in_place_stays_on_the_device(ready):
    model = Counting()
    run = ready(model, training=False, iterations=3)
    assert run(torch.ones(3)).tolist() == [1, 2, 3]
    assert run(torch.ones(3)).tolist() == [4, 5, 6]
    assert model.total.item() == 0
    run.copyWeightsToHost()
    assert (model.total.item(), model.seen.item()) == (6, 0)


def test_a_buffer_is_not_assigned_in_forward(poptorch, ready):
    with pytest.raises(poptorch.Error, match="Buffer total is reassigned"):
        ready(Counting(reassign=True), training=False)(torch.ones(1))


def test_replicas_do_not_share_a_buffer_that_changes(poptorch, ready):
    with pytest.raises(poptorch.Error, match="broadcasting buffers"):
        ready(Counting(), training=False, change=lambda options: options.replicationFactor(2))(torch.ones(2))


class Losses(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.weight, self.head = nn.Parameter(torch.tensor([2.0])), head

    def forward(self, scan):
        return self.head(self.weight * scan, torch.zeros_like(scan))


def test_a_training_graph_has_a_loss(poptorch, ready):
    with pytest.raises(poptorch.Error, match="Couldn't find a loss"):
        ready(Losses(lambda made, aim: made.sum()))(torch.ones(1))


def test_two_losses_apart_are_refused(poptorch, ready):
    both = Losses(lambda made, aim: F.mse_loss(made, aim) + F.l1_loss(made, aim))
    with pytest.raises(poptorch.Error, match="Multiple independent losses"):
        ready(both)(torch.ones(1))


def test_two_losses_joined_by_a_mark_are_one(poptorch, ready):
    def joined(made, aim):
        return poptorch.identity_loss(F.mse_loss(made, aim) + F.l1_loss(made, aim), "none")

    model = Losses(joined)
    run = ready(model)
    assert run(torch.ones(1)).item() == pytest.approx(6)
    assert model.weight.item() == pytest.approx(2 - 0.01 * 5)


def test_what_multiplies_a_torch_loss_is_lost_without_a_mark(poptorch, ready):
    model = Losses(lambda made, aim: F.mse_loss(made, aim) * 0)
    run = ready(model)
    assert run(torch.ones(1)).item() == 0
    assert model.weight.item() == pytest.approx(2 - 0.01 * 4)


def test_outputs_have_no_backward(poptorch, trained):
    with pytest.raises(poptorch.Error, match="backward"):
        trained(nn.Tanh(), FLAT).backward()


def test_an_input_that_wants_a_gradient_is_detached(trained):
    assert not trained(nn.Tanh(), FLAT.clone().requires_grad_(True)).requires_grad


def test_buffers_are_plain_tensors(poptorch, ready):
    model = Around(poptorch, nn.Tanh())
    model.register_buffer("odd", torch.ones(1).as_subclass(type("Odd", (torch.Tensor,), {})))
    with pytest.raises(poptorch.Error, match="must be an instance of"):
        ready(model)


def test_an_inference_model_follows_the_one_that_trains(poptorch, ready):
    model = Losses(lambda made, aim: poptorch.identity_loss(made, "sum"))
    train, look = ready(model), ready(model, training=False)
    assert look(torch.ones(1)).item() == pytest.approx(2)
    train(torch.ones(1))
    assert look(torch.ones(1)).item() == pytest.approx(1.99)
