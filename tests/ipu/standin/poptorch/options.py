"""Options, as far as they change a number, a shape or a refusal; the rest is checked, kept, and never looked at."""

import json
import os

import torch

from . import enums
from ._manifest import MANIFEST, complete
from ._options_dict import OptionsDict
from ._strategy import PipelinedExecution, ShardedExecution, Stage
from ._suboptions import (
    _DistributedOptions,
    _JitOptions,
    _PopartOptions,
    _PrecisionOptions,
    _TensorLocationOptions,
    _TrainingOptions,
    member,
)

__all__ = ["Options", "PipelinedExecution", "ShardedExecution", "Stage"]
REFUSED = ("loadFromFile", "enableSyntheticData", "enableProfiling", "inputReplicaGrouping")


def defaults():
    """Enumerations that PopTorch keeps as plain numbers are kept so here."""
    values = {key: member(value) for key, value in MANIFEST["option_defaults"].items()}
    for key in ("output_mode", "connection_type", "sync_pattern"):
        values[key] = values[key].value
    return {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}


@complete("Options", refused=REFUSED)
class Options(OptionsDict):
    def __init__(self):
        self._popart = _PopartOptions()
        self._jit = _JitOptions()
        self._precision = _PrecisionOptions(self._popart)
        self._training = _TrainingOptions(self._popart)
        self._distributed = _DistributedOptions()
        self._tensor_locations = _TensorLocationOptions()
        self._execution_strategy = PipelinedExecution()
        super().__init__(**defaults())
        if os.environ.get("POPTORCH_CACHE_DIR"):
            self.enableExecutableCaching(os.environ["POPTORCH_CACHE_DIR"])
        self.from_json(os.environ.get("POPTORCH_DEFAULT_OPTIONS", "{}"))

    TensorLocations = property(lambda self: self._tensor_locations)
    Distributed = property(lambda self: self._distributed)
    Jit = property(lambda self: self._jit)
    Precision = property(lambda self: self._precision)
    Training = property(lambda self: self._training)
    _Popart = property(lambda self: self._popart)

    def from_json(self, string):
        for dotted, value in json.loads(string).items():
            setting = self
            for name in dotted.split("."):
                setting = getattr(setting, name)
            given = value if isinstance(value, list) else [member(value)]
            setting(*given)
        return self

    def deviceIterations(self, device_iterations):
        self.set(device_iterations=device_iterations)
        return self

    def replicationFactor(self, replication_factor):
        self.set(replication_factor=replication_factor)
        return self

    def broadcastBuffers(self, broadcast_buffers=True):
        self.set(broadcast_buffers=broadcast_buffers)
        return self

    def autoRoundNumIPUs(self, auto_round_num_ipus=True):
        self.set(auto_round_num_ipus=auto_round_num_ipus)
        return self

    def setExecutionStrategy(self, strategy):
        assert isinstance(strategy, PipelinedExecution), f"an execution strategy is wanted, not {strategy}"
        self._execution_strategy = strategy
        return self

    def setAvailableMemoryProportion(self, available_memory_proportion):
        shares = {}
        for key, share in available_memory_proportion.items():
            assert key.startswith("IPU"), f"keys are IPU0, IPU1 and so on, not {key}"
            shares[int(key[3:])] = share
        self.createOrSet(available_memory_proportion=shares)
        return self

    def enableExecutableCaching(self, path):
        if path is not None:
            self._popart.set("cachePath", path)
        self._popart.set("enableEngineCaching", path is not None)
        return self

    def useIpuModel(self, use_model):
        self.createOrSet(use_model=use_model)
        return self

    def useIpuId(self, ipu_id):
        assert isinstance(ipu_id, int)
        self.createOrSet(ipu_id=ipu_id)
        return self

    def useOfflineIpuTarget(self, ipu_version=2):
        self.connectionType(enums.ConnectionType.Never)
        self.createOrSet(ipu_version=ipu_version)
        return self

    def connectionType(self, connection_type):
        assert isinstance(connection_type, enums.ConnectionType)
        self.set(connection_type=connection_type.value)
        return self

    def outputMode(self, output_mode, output_return_period=None):
        assert isinstance(output_mode, enums.OutputMode)
        if output_mode == enums.OutputMode.EveryN:
            assert output_return_period and output_return_period > 0, "EveryN needs a positive output_return_period"
        self.set(output_mode=output_mode.value, output_return_period=output_return_period or 1)
        return self

    def defaultOutputMode(self):
        return self.output_mode == enums.OutputMode.Default

    def anchorTensor(self, short_name, long_name, output_mode=None, output_return_period=1):
        """Ask for a tensor by its name in the graph. The mode asked for here is kept, and as in 3.4 never looked at."""
        self.anchored_tensors[short_name] = [long_name, output_mode is None, output_mode, output_return_period]

    def randomSeed(self, random_seed):
        assert isinstance(random_seed, int)
        torch.manual_seed(random_seed)
        self.createOrSet(random_seed=random_seed)
        return self

    def logCycleCount(self, log_cycle_count):
        self._popart.set("instrumentWithHardwareCycleCounter", log_cycle_count)
        return self

    def updatableNamedBuffers(self, buffers):
        self._popart.set("updatableNamedBuffers", buffers)
        return self

    def clone(self):
        return super().clone()

    def toDict(self):
        assert not self.defaultOutputMode(), "An output mode must be picked before serialisation"
        parts = (self._popart.options, self._training.toDict(), self._distributed.toDict())
        return {**super().toDict(), **{key: value for part in parts for key, value in part.items()}}
