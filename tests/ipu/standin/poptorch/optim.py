"""Optimizers that PopART runs on the device. Only SGD is acted out; none ever runs as a torch optimizer."""

import torch

from ._manifest import not_simulated

Adam, AdamW, RMSprop, LAMB = (not_simulated(name) for name in ("Adam", "AdamW", "RMSprop", "LAMB"))
VariableAttributes = not_simulated("VariableAttributes")


class Optimizer:
    load_state_dict = set_state_dict = not_simulated("load_state_dict")

    def __init__(self):
        self._ipu_state = None

    def state_dict(self):
        return self.get_state_dict()

    def get_state_dict(self):
        return {"ipu_state": None, "ipu_param": None, **torch.optim.Optimizer.state_dict(self)}

    def has_state(self):
        return False


class SGD(Optimizer, torch.optim.SGD):
    """Without momentum and accumulation: w - (lr / loss_scaling) g, with g clipped over all weights together."""

    def __init__(
        self,
        params,
        lr,
        momentum=None,
        dampening=None,
        weight_decay=None,
        nesterov=None,
        maximize=None,
        foreach=None,
        differentiable=None,
        loss_scaling=None,
        velocity_scaling=None,
        use_combined_accum=None,
        accum_type=None,
        velocity_accum_type=None,
        max_grad_norm=None,
    ):
        Optimizer.__init__(self)
        given = {"momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov}
        given = {key: value for key, value in given.items() if value is not None}
        torch.optim.SGD.__init__(self, params, lr=lr, **given)
        for dtype in (accum_type, velocity_accum_type):
            assert dtype in (None, torch.float16, torch.float32), "Accumulation types must be float32 or float16"
        if use_combined_accum or accum_type == torch.float16 or velocity_accum_type == torch.float16 or nesterov:
            not_simulated("SGD with a combined or half accumulator, or with Nesterov momentum")()
        self.loss_scaling = 1.0 if loss_scaling is None else loss_scaling
        self.max_grad_norm = float("inf") if max_grad_norm is None else max_grad_norm
