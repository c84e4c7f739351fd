"""What one run of forward leaves behind: marks of losses and places of blocks."""

import logging
import os

import torch
from torch.overrides import TorchFunctionMode

from ._errors import Error
from ._manifest import NotSimulated

MARKED_BY_TORCH = {
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "hinge_embedding_loss",
    "kl_div",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
}
BACKWARD = (torch.autograd.grad, torch.autograd.backward, torch.Tensor.backward, torch.Tensor.register_hook)
FACTORIES = {
    getattr(torch, name)
    for name in (
        *("arange", "empty", "full", "full_like", "linspace", "logspace", "normal", "ones", "rand", "randint"),
        *("randn", "randperm", "range", "tensor", "zeros", "zeros_like"),
    )
}
logger = logging.getLogger("poptorch::python")
_current = []


class Trace(TorchFunctionMode):
    """Stands around one forward. PopTorch marks the result of every torch loss as a loss, so this does too."""

    def __init__(self, strategy):
        super().__init__()
        self.strategy = strategy
        self.losses = []
        self.by_torch = []
        self.stages = {}
        self.placed = set()
        self.next_id = 0
        self.is_nowhere = False

    def __enter__(self):
        _current.append(self)
        return super().__enter__()

    def __exit__(self, *caught):
        _current.pop()
        return super().__exit__(*caught)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in BACKWARD:
            raise Error("forward asks torch for a gradient, and a traced graph has none: PopART builds it later")
        warn_of_device(func, args, kwargs or {})
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in MARKED_BY_TORCH:
            self.losses.append(result)
            self.by_torch.append(result)
        return result

    def final_loss(self):
        """Return the one loss that no later mark was made from."""
        if not self.losses:
            raise Error("Couldn't find a loss in graph")
        last = [mark for place, mark in enumerate(self.losses) if not used_in(mark, self.losses[place + 1 :])]
        if len(last) > 1:
            raise Error("Multiple independent losses found in graph: mark the final one with poptorch.identity_loss")
        if not last[0].requires_grad:
            raise NotSimulated("the loss depends on no parameter")
        return last[0]

    def ipus(self):
        return {ipu for _, ipu in self.placed} or {0}


def warn_of_device(func, args, kwargs):
    """PopTorch puts what a factory makes onto the IPU, unless told where; here there is no other place.

    With DPMED_STANDIN_STRICT its warning is an error.
    """
    if func not in FACTORIES or "device" in kwargs:
        return
    if func is torch.normal and any(isinstance(value, torch.Tensor) for value in (*args, *kwargs.values())):
        return
    if os.environ.get("DPMED_STANDIN_STRICT"):
        raise AssertionError(f"torch.{func.__name__}() in forward is forced onto the IPU with a warning")
    logger.warning("No device set in torch.%s(): forcing to IPU", func.__name__)


def used_in(mark, later):
    """Tell whether a later mark was computed from this one, by walking the graph backwards."""
    waiting, seen = [other.grad_fn for other in later], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if node is mark.grad_fn:
            return True
        seen.add(node)
        waiting.extend(source for source, _ in node.next_functions)
    return False


def running():
    return bool(_current)


def mark_loss(tensor):
    if _current:
        _current[-1].losses.append(tensor)


def begin_block(user_id, ipu_id):
    if _current:
        trace = _current[-1]
        block = user_id or str(trace.next_id)
        trace.next_id += not user_id
        trace.placed.add(trace.strategy.place(block, ipu_id, trace.stages))
        trace.is_nowhere = False


def count_blocks_anew():
    if _current:
        _current[-1].next_id = 0


def end_block():
    """Leave the block. Before the first one all is on IPU 0; after one has been left, nothing has a place."""
    if _current:
        _current[-1].is_nowhere = True


def require_place():
    if _current and _current[-1].is_nowhere:
        raise Error("No active Block, all the ops must belong to a Block")
