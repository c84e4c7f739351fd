"""Operators and blocks of PopTorch that a model's forward may use."""

import torch

from . import _trace
from ._errors import Error


def identity_loss(x, reduction):
    """Mark a tensor as the loss. On the plain CPU, outside a trace, it only reduces."""
    assert reduction in ("sum", "mean", "none"), "Unsupported reduction type!"
    marked = {"sum": torch.sum, "mean": torch.mean, "none": torch.clone}[reduction](x)
    _trace.mark_loss(marked)
    return marked


def isRunningOnIpu():
    return _trace.running()


class Block(torch.nn.Module):
    """All that runs inside is placed on one IPU."""

    @staticmethod
    def useAutoId():
        _trace.count_blocks_anew()

    @staticmethod
    def start(user_id=None, ipu_id=None):
        _trace.begin_block(user_id, ipu_id)

    def __init__(self, user_id=None, ipu_id=None):
        super().__init__()
        self._user_id = user_id
        self._ipu_id = ipu_id

    def __enter__(self):
        Block.start(self._user_id, self._ipu_id)

    def __exit__(self, type, value, traceback):
        _trace.end_block()


class _BlockHook:
    def __init__(self, user_id, ipu_id):
        self._place = (user_id, ipu_id)

    def __call__(self, module, inputs):
        _trace.begin_block(*self._place)


def BeginBlock(layer_to_call, user_id=None, ipu_id=None):
    """From this layer on, all runs on one IPU, until the next such layer."""
    if not isinstance(layer_to_call, torch.nn.Module):
        raise Error("module is not an instance of torch.nn.Module or function.")
    if any(isinstance(hook, _BlockHook) for hook in layer_to_call._forward_pre_hooks.values()):
        raise Error("module has already been assigned to a block.")
    layer_to_call.register_forward_pre_hook(_BlockHook(user_id, ipu_id))
    return layer_to_call


def removeBlocks(module):
    for layer in module.modules():
        for key, hook in list(layer._forward_pre_hooks.items()):
            if isinstance(hook, _BlockHook):
                del layer._forward_pre_hooks[key]


def recomputationCheckpoint(*tensors):
    """Keep these values for the backward pass and compute the rest again: changes memory, no number."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        return type(tensors[0])(tensors[0])
    if not all(isinstance(tensor, torch.Tensor) for tensor in tensors):
        raise ValueError("All inputs must be tensors")
    return tensors if len(tensors) > 1 else tensors[0]


def set_available_memory(tensor, available_memory_proportion):
    """Bound the working memory of the operator that made this: changes memory, no number."""
    if not isinstance(tensor, torch.Tensor):
        raise Error(f"You may only set available memory for torch.tensor values. {type(tensor)} is not supported.")
    return tensor


def nop(tensor):
    return torch.clone(tensor)
