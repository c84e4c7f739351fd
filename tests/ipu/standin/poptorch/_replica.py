"""Weights that differ from replica to replica: asked for by name, refused for scalars, and not acted out."""

import torch

from ._errors import Error
from ._manifest import NotSimulated


class PerReplica:
    """What an executor gives in place of a parameter: the parameter, and replicaGrouping beside it."""

    def __init__(self, executor, name, parameter):
        self._executor, self._name, self._parameter = executor, name, parameter

    def replicaGrouping(self, comm_group_type, shards, variable_retrieval_mode):
        self._executor.per_replica_params[self._name] = (comm_group_type, shards, variable_retrieval_mode)

    def __getattr__(self, name):
        return getattr(self._parameter, name)


def check_per_replica(model, asked):
    for name in asked:
        if dict(model.named_parameters())[name].shape == torch.Size([]):
            raise Error("Scalars cannot be passed as per-replica weight tensor values")
        raise NotSimulated(f"{name}: weights that differ from replica to replica")
