"""From gradients to new weights: accumulate, reduce over replicas, clip over all weights, update. In that order."""

import torch

from ._manifest import NotSimulated
from ._mutants import acts, chosen
from .enums import ReductionType

NOISE = torch.Generator()


class Rule:
    """The optimizer's numbers, and the device weights that each of its groups holds."""

    def __init__(self, optimizer, weights, groups):
        self.weights = weights
        self.max_norm = getattr(optimizer, "max_grad_norm", float("inf"))
        self.loss_scaling = getattr(optimizer, "loss_scaling", 1.0)
        assert self.max_norm == self.max_norm, "Maximum norm of gradients cannot be NaN"
        self.settings = [dict(optimizer.defaults) for _ in weights]
        for group, members in groups:
            for member in members:
                self.settings[member] = {key: value for key, value in group.items() if key != "params"}
        self.velocity = {}
        self.before = None
        self.call = 0

    def clipped(self, gradients):
        """Scale all gradients by C / max(C, norm), the norm being over all of them together."""
        if acts("no-clip") or (acts("no-clip-later") and self.call > 9):
            return gradients
        limit = self.max_norm * {"clip-twice-as-far": 2, "clip-a-hair-loose": 1.001}.get(chosen(), 1)
        if acts("clip-by-value"):
            return [gradient.clamp(-limit, limit) for gradient in gradients]
        if acts("clip-per-tensor"):
            return [gradient * factor(limit, [gradient]) for gradient in gradients]
        if acts("clip-without-last") and len(gradients) > 1:
            scale = factor(limit, gradients[:-1])
            return [gradient * scale for gradient in gradients[:-1]] + gradients[-1:]
        scale = factor(limit, gradients)
        return [gradient * scale for gradient in gradients]

    def apply(self, gradients, share=1.0):
        if acts("noisy-gradient"):
            gradients = [gradient + 1e-3 * torch.randn(gradient.shape, generator=NOISE) for gradient in gradients]
        if acts("carries-gradient"):
            last, self.before = self.before, gradients
            gradients = [mine + 0.1 * old for mine, old in zip(gradients, last or gradients)]
        if self.max_norm != float("inf"):
            gradients = self.clipped(gradients)
        for number, gradient in enumerate(gradients):
            self.move(number, gradient * share)

    def move(self, number, gradient):
        weight, setting = self.weights[number], self.settings[number]
        rate = setting["lr"] / self.loss_scaling * (-1 if acts("wrong-sign") else 1)
        decay = setting["weight_decay"]
        step = gradient + decay * self.loss_scaling * weight if decay else gradient
        momentum = 0.9 if acts("keeps-momentum") else setting["momentum"]
        if momentum:
            before = self.velocity.get(number)
            step = step if before is None else momentum * before + (1 - setting["dampening"]) * step
            self.velocity[number] = step
        weight.sub_(rate * step)
        if acts("weight-decay"):
            weight.mul_(0.99)
        if acts("half-updates"):
            weight.copy_(weight.half())


def factor(limit, gradients):
    """Return C / max(C, norm), all of it in the gradients' own type: in half, small norms vanish, large overflow."""
    if limit == float("inf"):
        return 1.0
    kinds = {gradient.dtype for gradient in gradients}
    if len(kinds) > 1:
        raise NotSimulated("a clip over weights of several types")
    kind = torch.float16 if acts("half-norm") else kinds.pop()
    squares = torch.stack([(gradient.float() ** 2).sum().to(kind) for gradient in gradients])
    norm = squares.float().sum().to(kind).float().sqrt().to(kind).float()
    limit = torch.tensor(limit).to(kind).float()
    return float(limit / (norm if acts("normalizes") else torch.maximum(norm, limit)))


def reduced(runs, options):
    """Sum the gradients of all that one update is made of, and take the mean unless the options ask for the sum."""
    total = [sum(parts) for parts in zip(*runs)]
    mean = options.Training.accumulation_and_replication_reduction_type == ReductionType.Mean
    mean = mean and not acts("clip-after-accumulation", "sums-before-clip")
    return [gradient / len(runs) for gradient in total] if mean and len(runs) > 1 else total


def updates(runs, options):
    """Return the micro-batches that each update is made of. `runs` is in the order of the data."""
    size = options.Training.gradient_accumulation * options.replication_factor
    if acts("clip-after-accumulation"):
        size = len(runs)
    if acts("reduce-before-clip", "sums-before-clip"):
        size = min(2, len(runs))
    groups = [list(range(start, min(start + size, len(runs)))) for start in range(0, len(runs), size)]
    if acts("replicas") and len(runs) > 1:
        half = len(runs) // 2
        groups = [[number, number + half] for number in range(half)]
    processes = options.Distributed.num_distributed_processes
    if processes > 1:
        # The other processes of a reduction train on other patients: here, on the next ones of this call.
        others = range(processes)
        groups = [[(number + other) % len(runs) for other in others for number in group] for group in groups]
    if acts("eight-iterations"):
        groups = groups[:8]
    if acts("drops-last-iteration"):
        groups = groups[:-1]
    return groups[:1] + groups if acts("runs-first-twice") else groups
