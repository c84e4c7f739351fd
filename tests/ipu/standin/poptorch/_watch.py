"""Stands below a forward and sees every operator: refuses what PopTorch cannot lower, and what is not traced once."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ._errors import Error
from ._manifest import MANIFEST, NotSimulated
from ._trace import require_place

HANDLERS = set(MANIFEST["aten_handlers"])
ONLY_RAISE = MANIFEST["aten_handlers_that_only_raise"]
# What the dispatcher makes of operators that PopTorch takes before they are taken apart, and its own housekeeping.
TAKEN_EARLIER = {
    "_adaptive_avg_pool2d": "adaptive_avg_pool2d",
    "_adaptive_avg_pool3d": "adaptive_avg_pool3d",
    "_to_copy": "to",
    "fill": "full_like",
    "lift_fresh": "clone",
    "native_dropout": "dropout",
    "scalar_tensor": "full",
    "zero": "zeros_like",
    "alias": "detach",
    "empty": "full",
    "empty_strided": "full",
}
READ_BACK = ("_local_scalar_dense", "item")
WIDE = (torch.float64, torch.complex64, torch.complex128, torch.bfloat16)


def base_name(func):
    return func._schema.name.split("::")[-1]


def named_arguments(func, args, kwargs):
    names = [item.name for item in func._schema.arguments]
    return {**dict(zip(names, args)), **kwargs}


def check_supported(func, args, kwargs):
    name = base_name(func)
    short = name[:-1] if name.endswith("_") and not name.startswith("__") else name
    if name in READ_BACK:
        raise Error(f"a value is read back in forward ({name}), which an IPU model cannot do")
    if name in ONLY_RAISE:
        raise Error(f"{name}: {ONLY_RAISE[name]}")
    known = {name, short, TAKEN_EARLIER.get(short, short)}
    if not known & HANDLERS:
        raise Error(f"Unsupported ops found in compiled model: [aten::{name}]")
    check_limits(name, named_arguments(func, args, kwargs))


def check_limits(name, given):
    if name.startswith("nll_loss") and given.get("weight") is not None:
        raise Error(f'Parameter "weight" is unsupported for aten::{name}')
    if name == "convolution" and given.get("transposed") and any(step != 1 for step in given["dilation"]):
        raise Error("dilation is unsupported for transposed convolutions")
    if name == "topk" and given.get("sorted") is False:
        raise Error("sorted=False is unsupported for aten::topk")
    if name == "upsample_bicubic2d" and given.get("align_corners"):
        raise Error("align_corners=True is unsupported for aten::upsample_bicubic2d")
    if name == "upsample_bilinear2d":
        scales = given.get("scale_factors") or [given.get("scales_h"), given.get("scales_w")]
        if any(scale is not None and scale != round(scale) for scale in scales):
            raise Error("aten::upsample_bilinear2d takes whole scale factors only")
    if name.startswith("_adaptive_avg_pool"):
        size = given["output_size"]
        if any(have % want for have, want in zip(given["self"].shape[-len(size) :], size)):
            raise Error(f"aten::{name[1:]}: the input is not divisible by the output")


class Watch(TorchDispatchMode):
    """Keeps the tape of a forward, and the constants on it, to hold later runs against."""

    def __init__(self, inputs, buffers, options):
        super().__init__()
        self.inputs, self.buffers, self.options = inputs, buffers, options
        self.known = {place(tensor) for tensor in (*inputs, *buffers)}
        self.alive = []
        self.tape = []
        self.constants = []
        self.has_half = False

    def knows(self, tensors):
        self.known |= {place(tensor) for tensor in tensors}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        check_supported(func, args, kwargs)
        require_place()
        given = list(tensors_in((args, kwargs)))
        for tensor in given:
            if place(tensor) not in self.known:
                self.constants.append(tensor.detach().clone())
        self.check_written(func, args)
        self.tape.append((str(func), plain((args, kwargs))))
        result = func(*args, **kwargs)
        self.has_half |= any(tensor.dtype == torch.float16 for tensor in (*given, *tensors_in(result)))
        for tensor in tensors_in(result):
            if tensor.dtype in WIDE:
                raise NotSimulated(f"{tensor.dtype} in forward: the device would narrow it, the stand-in does not")
            self.known.add(place(tensor))
            self.alive.append(tensor)
        return result

    def check_written(self, func, args):
        written = [
            value
            for value, item in zip(args, func._schema.arguments)
            if item.alias_info is not None and item.alias_info.is_write
        ]
        for tensor in tensors_in(written):
            if place(tensor) in {place(one) for one in self.inputs}:
                raise NotSimulated("an input is changed in place")
            shared = self.options.replication_factor > 1 and self.options.broadcast_buffers
            if shared and place(tensor) in {place(one) for one in self.buffers}:
                raise Error("PopTorch does not support broadcasting buffers: use broadcastBuffers(False)")

    def hold_against(self, first):
        """PopTorch would silently run the first trace again; here a forward that has changed is an error."""
        if self.tape != first.tape:
            place = next((i for i, pair in enumerate(zip(self.tape, first.tape)) if pair[0] != pair[1]), "the end")
            raise AssertionError(f"forward is traced once, and has changed since (operator {place})")
        same = len(self.constants) == len(first.constants) and all(
            torch.equal(mine, old) for mine, old in zip(self.constants, first.constants)
        )
        if not same:
            raise AssertionError("a tensor that is no parameter, buffer or input is a constant, and has changed")


def place(tensor):
    return tensor.untyped_storage().data_ptr()


def tensors_in(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def plain(value):
    """Arguments with each tensor as its type and shape, so that two runs can be compared."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape)
    if isinstance(value, (list, tuple)):
        return tuple(plain(item) for item in value)
    if isinstance(value, dict):
        return tuple((key, plain(item)) for key, item in sorted(value.items()))
    return repr(value)
