"""Arguments of a model: bound to forward's own names, in one order, and fixed once the model is compiled."""

import inspect

import torch

from ._errors import Error

END = " Arguments are fixed when the model is compiled: destroy() it, or wrap the model anew."


class Arguments:
    def __init__(self, model):
        self.parameters = list(inspect.signature(model.forward).parameters.values())
        self.names = [item.name for item in self.parameters]

    def ordered(self, args, kwargs):
        """Return the arguments in the order of forward, defaults filled in."""
        if any(item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD) for item in self.parameters):
            assert not kwargs, "with *args in forward the stand-in takes arguments by position only"
            return list(args)
        assert len(args) + len(kwargs) <= len(self.names), (
            f"Too many arguments provided: expected {self.names} ({len(self.names)}) but got {len(args) + len(kwargs)}"
        )
        for key in kwargs:
            assert key in self.names, f"{key} is not a valid parameter. Allowed values are {self.names}"
            assert key not in self.names[: len(args)], f"Parameter {key} was passed more than once"
        rest = []
        for item in self.parameters[len(args) :]:
            if item.name not in kwargs and item.default is item.empty:
                raise Error(f"Mandatory parameter {item.name} missing")
            rest.append(kwargs.get(item.name, item.default))
        return [*args, *rest]

    def name(self, place):
        return self.names[place] if place < len(self.names) else f"*args[{place}]"


def check_batch(values, options):
    """Dimension 0 holds every micro-batch of a call."""
    accumulation = options.Training.gradient_accumulation
    factor = options.device_iterations * options.replication_factor * accumulation
    for value in values:
        if isinstance(value, (list, tuple)):
            check_batch(value, options)
        if not isinstance(value, torch.Tensor):
            continue
        size = value.shape[0] if value.dim() else 1
        assert size % factor == 0, (
            f"Invalid batch dimension: ({size}) of an input of {tuple(value.shape)} is no multiple of {factor}, which "
            f"is deviceIterations({options.device_iterations}) * replicationFactor({options.replication_factor}) * "
            f"gradientAccumulation({accumulation})"
        )


def check_same(name, compiled, given):
    if type(compiled) is not type(given) and not (
        isinstance(compiled, torch.Tensor) and isinstance(given, torch.Tensor)
    ):
        raise Error(f"Type mismatch for {name}: expected {type(compiled)} but got {type(given)}.{END}")
    if isinstance(compiled, (list, tuple)):
        if len(compiled) != len(given):
            raise Error(f"Length mismatch for {name}: expected {len(compiled)} elements but got {len(given)}.{END}")
        for place, pair in enumerate(zip(compiled, given)):
            check_same(f"{name}[{place}]", *pair)
    elif isinstance(compiled, torch.Tensor):
        for what, attribute in (("Data type", "dtype"), ("Shape", "shape")):
            old, new = getattr(compiled, attribute), getattr(given, attribute)
            if old != new:
                raise Error(f"{what} mismatch for {name}: expected {old} but got {new}.{END}")
    elif compiled != given:
        raise Error(f"Value mismatch for {name}: expected {compiled} but got {given}.{END}")


def check_against(arguments, compiled, values):
    if len(compiled) != len(values):
        raise Error(
            f"Number of positional arguments mismatch: expected {len(compiled)} arguments but got {len(values)}.{END}"
        )
    for place, pair in enumerate(zip(compiled, values)):
        check_same(arguments.name(place), *pair)
