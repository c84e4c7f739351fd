"""A model being trained is wrapped: touching its parameters or buffers first pulls the weights off the device."""

import weakref

import torch

from ._errors import Error

WRAPPED = "_standin_wrapped"


def wrapped(model):
    return hasattr(type(model), WRAPPED)


def classes(executor, plain):
    """Make the classes that parameters, buffers and the model itself get while they are trained."""
    parent = weakref.ref(executor)

    def pull():
        owner = parent()
        return owner.copyWeightsToHostIfNeeded() if owner is not None else False

    def function(cls, func, types, args=(), kwargs=None):
        pull()
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    def touching(kind):
        def touch(self, name):
            pull()
            return kind.__getattribute__(self, name)

        return {"__getattribute__": touch, "__torch_function__": classmethod(function)}

    class Model(plain):
        def copyWeightsToHostIfNeeded(self):
            return pull()

        def destroy(self):
            owner = parent()
            if owner is not None:
                owner.destroy()

        def __getattribute__(self, name):
            if name in ("_buffers", "_parameters", "forward"):
                pull()
            return object.__getattribute__(self, name)

    setattr(Model, WRAPPED, parent)
    Model.__name__ = "Poptorch" + plain.__name__
    return {
        "model": Model,
        "parameter": type("PoptorchParameter", (torch.nn.Parameter,), touching(torch.nn.Parameter)),
        "buffer": type("PoptorchBuffer", (torch.Tensor,), touching(torch.Tensor)),
    }


def wrap(executor, model):
    made = classes(executor, type(model))
    for buffer in model.buffers():
        if type(buffer) is not torch.Tensor:
            raise Error(f"All buffers must be an instance of torch.Tensor (Got {type(buffer)})")
    rewrap(model, made)
    return made


def rewrap(model, made):
    for parameter in model.parameters():
        parameter.__class__ = made["parameter"]
    for buffer in model.buffers():
        buffer.__class__ = made["buffer"]
    model.__class__ = made["model"]


def unwrap(model):
    model.__class__ = type(model).__mro__[1]
    for parameter in model.parameters():
        parameter.__class__ = torch.nn.Parameter
    for buffer in model.buffers():
        buffer.__class__ = torch.Tensor
