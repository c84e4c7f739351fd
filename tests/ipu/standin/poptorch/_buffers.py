"""Misbehaviours of buffers that forward changes in place, acted out after each device iteration."""

import torch

from ._mutants import acts


class Buffers:
    """What an inference program's buffers were when the call began and before the iteration at hand."""

    def __init__(self, buffers, iterations):
        self.buffers = {name: tensor for name, tensor in buffers.items() if tensor.is_floating_point()}
        self.last = iterations - 1
        self.start = self.copies()

    def copies(self):
        return {name: tensor.clone() for name, tensor in self.buffers.items()}

    def before(self):
        if acts("buffers-forget"):
            self.back_to(self.start)
        self.old = self.copies()

    @torch.no_grad()
    def after(self, number):
        lost = (
            (acts("buffers-keep-first") and number > 0)
            or (acts("buffers-eight") and number > 7)
            or (acts("buffers-lose-last") and number == self.last)
        )
        if lost:
            self.back_to(self.old)
        for name, tensor in self.buffers.items():
            if acts("buffers-twice"):
                tensor.add_(tensor - self.old[name])
            if acts("buffers-half"):
                tensor.copy_(tensor.half())
        if acts("buffers-merged"):
            self.merge()

    def back_to(self, values):
        for name, tensor in self.buffers.items():
            tensor.copy_(values[name])

    def merge(self):
        homes = {}
        for name, tensor in self.buffers.items():
            key = (tensor.shape, self.start[name].numpy().tobytes())
            home = homes.setdefault(key, tensor)
            if home is not tensor:
                home.add_(tensor - self.old[name])
                tensor.copy_(home)
