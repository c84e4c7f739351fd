"""The groups of options that hang below Options, and where the environment gets in."""

import os

import torch

from . import enums
from ._manifest import MANIFEST, complete
from ._options_dict import OptionsDict


@complete("options._JitOptions")
class _JitOptions(OptionsDict):
    pass


@complete("options._TensorLocationOptions")
class _TensorLocationOptions(OptionsDict):
    pass


@complete("options._PopartOptions", refused=("setEngineOptions", "setPatterns"))
class _PopartOptions:
    """Settings handed to PopART by their own name; a name that PopART lacks is found out when compiling."""

    def __init__(self):
        self._is_frozen = False
        self.options = {}
        self.set("instrumentWithHardwareCycleCounter", False)
        self.set("rearrangeAnchorsOnHost", False)

    def checkIsFrozen(self, option=None):
        if self._is_frozen and option != "_is_frozen":
            raise AttributeError("Can't modify frozen Options")

    def set(self, key, value):
        self.checkIsFrozen()
        self.options[key] = value
        return self


@complete("options._PrecisionOptions")
class _PrecisionOptions(OptionsDict):
    def __init__(self, popart_options):
        super().__init__()
        self.__dict__["_popart_options"] = popart_options

    def enableStochasticRounding(self, enabled):
        self._popart_options.set("enableStochasticRounding", enabled)
        return self

    def enableFloatingPointExceptions(self, enabled):
        self._popart_options.set("enableFloatingPointChecks", enabled)
        return self

    def setPartialsType(self, dtype):
        self.checkIsFrozen()
        if dtype not in (torch.float16, torch.float32):
            raise ValueError(f"setPartialsType takes torch.float16 or torch.float32, not {dtype}")
        self._recorded["setPartialsType"] = (dtype,)
        return self


@complete("options._TrainingOptions", refused=("setAutomaticLossScaling",))
class _TrainingOptions(OptionsDict):
    def __init__(self, popart_options):
        given = MANIFEST["training_defaults"]
        super().__init__(
            gradient_accumulation=given["gradient_accumulation"],
            accumulation_and_replication_reduction_type=member(given["accumulation_and_replication_reduction_type"]),
            meanAccumulationAndReplicationReductionStrategy=member(
                given["meanAccumulationAndReplicationReductionStrategy"]
            ),
        )
        self.__dict__["_popart_options"] = popart_options

    def gradientAccumulation(self, gradient_accumulation):
        self.set(gradient_accumulation=gradient_accumulation)
        return self

    def accumulationAndReplicationReductionType(self, reduction_type):
        if not isinstance(reduction_type, enums.ReductionType) or reduction_type == enums.ReductionType.NoReduction:
            raise ValueError("accumulationAndReplicationReductionType must be ReductionType.Mean or ReductionType.Sum")
        self.set(accumulation_and_replication_reduction_type=reduction_type)
        return self

    def setMeanAccumulationAndReplicationReductionStrategy(self, mean_reduction_strategy):
        self.set(meanAccumulationAndReplicationReductionStrategy=mean_reduction_strategy)
        return self


@complete("options._DistributedOptions")
class _DistributedOptions(OptionsDict):
    """How many processes train together. Read from the environment of an MPI launcher, whoever launched it for what."""

    def __init__(self):
        super().__init__(**MANIFEST["distributed_defaults"])
        self.setEnvVarNames("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK")

    def disable(self):
        self.set(num_distributed_processes=1, distributed_process_id=0)
        return self

    def setEnvVarNames(self, var_num_processes, var_process_id):
        rank, size = os.environ.get(var_process_id, "0"), os.environ.get(var_num_processes, "1")
        return self.configureProcessId(int(rank), int(size))

    def configureProcessId(self, process_id, num_processes):
        self.set(distributed_process_id=process_id)
        self.set(num_distributed_processes=num_processes)
        return self

    @property
    def processId(self):
        return self.distributed_process_id

    @property
    def numProcesses(self):
        return self.num_distributed_processes


def member(text):
    """Turn a default as the source writes it, "ReductionType.Mean", into the member it names; leave all else."""
    kind, _, name = text.partition(".") if isinstance(text, str) else ("", "", "")
    found = getattr(enums, kind, None) if kind in MANIFEST["enums"] else None
    return found[name] if found is not None and name in found.__members__ else text
