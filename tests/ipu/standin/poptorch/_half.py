"""Half precision on a CPU that has little of it: computed in float32, rounded to float16 operator by operator."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from ._watch import base_name, named_arguments, tensors_in

MOVES = ("_to_copy", "copy_", "clone", "empty", "empty_strided", "zeros", "ones", "full", "lift_fresh", "empty_like")


def widened(value):
    if value is torch.float16:
        return torch.float32
    return value.float() if isinstance(value, torch.Tensor) and value.dtype == torch.float16 else value


def narrowed(value):
    return value.half() if isinstance(value, torch.Tensor) and value.dtype == torch.float32 else value


class Half(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = [tensor for tensor in tensors_in((args, kwargs)) if tensor.is_floating_point()]
        views = any(item.alias_info is not None and not item.alias_info.is_write for item in func._schema.returns)
        if views or base_name(func) in MOVES or all(tensor.dtype != torch.float16 for tensor in given):
            return func(*args, **kwargs)
        wide_args, wide_kwargs = tree_map(widened, args), tree_map(widened, kwargs)
        result = func(*wide_args, **wide_kwargs)
        if any(item.alias_info is not None for item in func._schema.returns):
            args[0].copy_(wide_args[0])
            return args[0]
        asked = named_arguments(func, args, kwargs).get("dtype")
        mixed = any(tensor.dtype == torch.float32 and tensor.dim() for tensor in given)
        wide = asked == torch.float32 or (mixed and asked is None)
        return result if wide else tree_map(narrowed, result)
