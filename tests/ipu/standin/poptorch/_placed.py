"""The device's own copies of a model's weights, put into the model while it runs and taken out again."""

import torch

from ._errors import Error
from ._manifest import NotSimulated

NORMS = (torch.nn.modules.batchnorm._BatchNorm,)


def places(model):
    """Yield every parameter and buffer with where it hangs; one that hangs twice comes twice."""
    for prefix, module in model.named_modules():
        for store in ("_parameters", "_buffers"):
            for name, tensor in getattr(module, store).items():
                if tensor is not None:
                    yield (prefix + "." if prefix else "") + name, module, store, name, tensor


class Placed:
    """Weights by name, each with memory of its own, as the device has them."""

    def __init__(self, model):
        self.model = model
        self.host = {}
        self.device = {}
        self.slots = []
        names = {}
        for name, module, store, key, tensor in places(model):
            first = names.setdefault(id(tensor), name)
            if first == name:
                self.host[name] = tensor
            self.slots.append((module, store, key, first))
        refuse_shared(self.host)
        for name, tensor in self.host.items():
            self.device[name] = fresh(tensor)

    def is_parameter(self, name):
        return isinstance(self.device[name], torch.nn.Parameter)

    def buffers(self):
        return {name: tensor for name, tensor in self.device.items() if not self.is_parameter(name)}

    def trained(self):
        return [name for name, tensor in self.device.items() if tensor.requires_grad]

    def run(self, model, args):
        """Run forward on the device's weights. Whole numbers are constants: what forward adds to them is lost."""
        before = {name: tensor.clone() for name, tensor in self.buffers().items() if not tensor.is_floating_point()}
        old = [(module, store, key, getattr(module, store)[key]) for module, store, key, _ in self.slots]
        try:
            for module, store, key, name in self.slots:
                getattr(module, store)[key] = self.device[name]
            result = model(*args)
            self.check_identity()
            return result
        finally:
            for module, store, key, tensor in old:
                getattr(module, store)[key] = tensor
            for name, tensor in before.items():
                self.device[name].copy_(tensor)

    def check_identity(self):
        for module, store, key, name in self.slots:
            now = getattr(module, store).get(key)
            if now is self.device[name] or isinstance(module, NORMS):
                continue
            kind = "Buffer" if store == "_buffers" else "Parameter"
            done = "removed from" if now is None else "reassigned within"
            raise Error(f"{kind} {name} is {done} the model by forward: change it in place")


def fresh(tensor):
    data = tensor.detach().clone(memory_format=torch.contiguous_format)
    if data.dtype in (torch.float64, torch.bfloat16):
        raise NotSimulated(f"{data.dtype} weights: the device would narrow them, the stand-in does not")
    if isinstance(tensor, torch.nn.Parameter):
        return torch.nn.Parameter(data, requires_grad=tensor.requires_grad)
    return data


def refuse_shared(tensors):
    """PopTorch takes two weights at one address for one, and says nothing; here it is an error."""
    seen = {}
    for name, tensor in tensors.items():
        if tensor.numel() and tensor.data_ptr() in seen:
            raise Error(f"{seen[tensor.data_ptr()]} and {name} start at the same address")
        seen[tensor.data_ptr()] = name
