"""The simulated device: a traced forward, its weights, and the order of everything that happens in one call."""

import contextlib
import hashlib

import torch

from . import _outputs
from ._buffers import Buffers
from ._errors import Error
from ._half import Half
from ._limits import check_machine
from ._manifest import NotSimulated
from ._mutants import acts
from ._placed import Placed
from ._trace import Trace
from ._update import Rule, reduced, updates
from ._watch import Watch, tensors_in
from .enums import OutputMode

NOISE = torch.Generator()
GRADIENT, UPDATED = "Gradient___", "UpdatedVar___"


class Program:
    """One compiled model. `forward` takes micro-batches; whole batches are cut here."""

    def __init__(self, model, options, optimizer, training):
        self.model, self.options, self.training = model, options, training
        self.placed = Placed(model)
        self.optimizer = optimizer
        self.first = None
        self.structure = None
        self.calls = 0
        self.anchors = {}
        self.rule = self.make_rule(optimizer) if training else None

    def make_rule(self, optimizer):
        names = self.placed.trained()
        by_address = {self.placed.host[name].data_ptr(): place for place, name in enumerate(names)}
        groups = []
        for group in optimizer.param_groups:
            members = [by_address[param.data_ptr()] for param in group["params"] if param.requires_grad]
            groups.append((group, members))
        return Rule(optimizer, [self.placed.device[name] for name in names], groups)

    def replace_optimizer(self, optimizer):
        old, self.rule = self.rule, self.make_rule(optimizer)
        self.rule.velocity, self.rule.before = old.velocity, old.before

    def factor(self):
        options = self.options
        return options.device_iterations * options.replication_factor * options.Training.gradient_accumulation

    def cut(self, values, number):
        """Take one micro-batch out of every tensor: dimension 0 holds them one after the other."""

        def one(value):
            if isinstance(value, torch.Tensor):
                size = value.shape[0] // self.factor() if value.dim() else 0
                part = value.detach() if not value.dim() else value.detach()[number * size : (number + 1) * size]
                return as_on_device(part)
            if isinstance(value, (list, tuple)):
                return tuple(one(item) for item in value)
            return value

        return [one(value) for value in values]

    def forward(self, values):
        """Run one micro-batch forward, watched, and hold it against the trace that was compiled."""
        inputs = list(tensors_in(values))
        watch = Watch(inputs, list(self.placed.buffers().values()), self.options)
        watch.knows(self.placed.device.values())
        trace = Trace(self.options._execution_strategy)
        with self.precision(), trace, watch, torch.set_grad_enabled(self.training):
            result = self.placed.run(self.model, values)
        if self.first is not None:
            watch.hold_against(self.first)
        return result, trace, watch

    def precision(self):
        """Round to half wherever the trace has halves; while there is no trace yet, be ready to."""
        return Half() if self.first is None or self.first.has_half else contextlib.nullcontext()

    def compile(self, values):
        """Trace forward once, on the first micro-batch, and leave the weights as they were."""
        before = {name: tensor.detach().clone() for name, tensor in self.placed.device.items()}
        result, trace, watch = self.forward(self.cut(values, 0))
        check_machine(self.options, trace, self.training)
        unknown = [name for name, *_ in self.options.anchored_tensors.values() if name not in self.tensor_names()]
        if unknown:
            raise NotSimulated(f"the stand-in anchors {self.tensor_names()} and not {unknown}")
        if self.training:
            trace.final_loss()
        self.first, self.structure = watch, result
        watch.alive = []
        for name, tensor in before.items():
            self.placed.device[name].data.copy_(tensor)

    def digest(self):
        """Tell this trace from every other."""
        shapes = [(name, str(tensor.dtype), tuple(tensor.shape)) for name, tensor in self.placed.device.items()]
        return hashlib.sha256(repr((shapes, self.first.tape, self.factor())).encode()).hexdigest()

    def run(self, values):
        self.calls += 1
        if self.training:
            self.rule.call = self.calls
        self.anchors = {name: [] for name, *_ in self.options.anchored_tensors.values()}
        outputs, gradients = [], {}
        plan = updates(list(range(self.factor())), self.options) if self.training else []
        buffers = Buffers({} if self.training else self.placed.buffers(), self.factor())
        for number in range(self.factor()):
            buffers.before()
            made, gradients[number] = self.micro_batch(self.cut(values, 0 if acts("repeats-first") else number))
            buffers.after(number)
            outputs.append(made)
            seen = dict(zip(self.placed.trained(), gradients[number] or ()))
            self.update_when_complete(number, gradients, plan)
            self.keep_anchors(seen)
        return self.collected(outputs)

    def micro_batch(self, values):
        if acts("noisy-forward"):
            values = [noisy(value) for value in values]
        result, trace, _ = self.forward(values)
        outputs = [_outputs.narrowed(tensor.detach()).clone() for tensor in _outputs.flat(result)]
        if not self.training:
            return outputs, None
        loss = trace.by_torch[0] if acts("inner-loss") and trace.by_torch else trace.final_loss()
        with self.precision():
            total = loss.sum() * self.rule.loss_scaling
            found = torch.autograd.grad(total, self.rule.weights, allow_unused=True)
        pairs = zip(found, self.rule.weights)
        return outputs, [torch.zeros_like(weight) if grad is None else grad for grad, weight in pairs]

    @torch.no_grad()
    def update_when_complete(self, number, gradients, plan):
        """Each update is done as soon as the last micro-batch that belongs to it has run."""
        share = 1.0 / self.options.device_iterations if acts("mean-over-iterations") else 1.0
        for group in plan:
            if max(group) == number:
                self.rule.apply(reduced([gradients[member] for member in group], self.options), share)
        waited_for = {member for group in plan if max(group) > number for member in group}
        for member in set(gradients) - waited_for:
            del gradients[member]

    def tensor_names(self):
        """Name what can be anchored here: weights, and their gradients as PopART names them."""
        if not self.training:
            return list(self.placed.host)
        return [kind + name for kind in ("", GRADIENT, UPDATED) for name in self.placed.trained()]

    def keep_anchors(self, gradients):
        for name, runs in self.anchors.items():
            held = gradients if name.startswith(GRADIENT) else self.placed.device
            runs.append(held[name.replace(GRADIENT, "").replace(UPDATED, "")].detach().clone())

    def anchored(self):
        """Each anchor by its short name, in the mode of the options: the mode asked for with it is not looked at."""
        mode, period = OutputMode(self.options.output_mode), self.options.output_return_period
        made = {name: _outputs.gathered(runs, self.options, mode, period) for name, runs in self.anchors.items()}
        return {short: made[asked[0]] for short, asked in self.options.anchored_tensors.items()}

    def collected(self, outputs):
        """Put the outputs of all micro-batches together, one tensor of forward after the other."""
        mode = OutputMode(self.options.output_mode)
        if acts("dropped-output-mode"):
            mode = OutputMode.Final if self.training else OutputMode.All
        if acts("nan") and self.calls > 1:
            outputs = [[tensor * float("nan") for tensor in run] for run in outputs]
            for weight in self.rule.weights if self.training else ():
                weight.data.fill_(float("nan"))
        period = self.options.output_return_period
        made = [_outputs.gathered(list(runs), self.options, mode, period) for runs in zip(*outputs)]
        if acts("replicas"):
            made = [torch.cat([tensor.reshape(1) if not tensor.dim() else tensor] * 2) for tensor in made]
        return _outputs.rebuilt(self.structure, iter(made))


def noisy(value):
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value + 1e-3 * torch.randn(value.shape, generator=NOISE)
    return value


def as_on_device(tensor):
    """Narrow as the device does. Whole numbers keep 64 bits, which a CPU wants of labels, but not values past 32."""
    if tensor.dtype in (torch.float64, torch.bfloat16):
        return tensor.float()
    if tensor.dtype == torch.int64:
        return tensor.int().long()
    if tensor.dtype in (torch.complex64, torch.complex128):
        raise Error(f"Unsupported input type {tensor.dtype}")
    return tensor.clone()
