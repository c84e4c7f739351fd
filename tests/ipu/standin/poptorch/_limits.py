"""What a machine and an execution strategy can hold, checked once forward is known."""

import os
import time

from ._errors import Error
from ._manifest import MANIFEST, NotSimulated
from ._mutants import acts
from .enums import ConnectionType

IPUS = "DPMED_STANDIN_IPUS"
OWN_KEYS = ("updatableNamedBuffers",)
NEVER_SET = ("accumulationFactor", "enableGradientAccumulation", "globalReplicationFactor", "syntheticDataMode")


def ipus_here():
    return int(os.environ.get(IPUS, "0"))


def check_machine(options, trace, training):
    if acts("hangs-at-compile"):
        time.sleep(10**6)
    check_popart_keys(options)
    stages = len({stage for stage, _ in trace.placed}) or 1
    check_pipeline(options, stages, training)
    wanted = len(trace.ipus()) * options.replication_factor
    if wanted & (wanted - 1) and not options.auto_round_num_ipus:
        raise Error(f"the model uses {wanted} IPUs, and that is no power of 2")
    if wanted > 64:
        raise Error(f"{wanted} IPUs are more than the 64 that one process can have")
    if acts("out-of-memory"):
        raise Error("Out of memory on tile 12: 1310720 bytes used but tiles only have 638976 bytes of memory")
    if options.connection_type != ConnectionType.Never:
        acquire(options, wanted)
    elif is_model(options):
        raise Error("useOfflineIpuTarget (ConnectionType.Never) is not supported for the IPU model")


def is_model(options):
    """The option goes before the environment."""
    return options.use_model if options.exists("use_model") else os.environ.get("POPTORCH_IPU_MODEL", "0") != "0"


def acquire(options, wanted):
    model = is_model(options)
    if acts("no-device") or (not model and ipus_here() < wanted):
        raise Error(f"Failed to acquire {wanted} IPU(s)")


def check_pipeline(options, stages, training):
    if not options._execution_strategy.pipelined:
        return
    if training and options.Training.gradient_accumulation < 2 * stages - 1:
        raise Error(
            f"gradientAccumulation must be at least the number of pipeline stages ({2 * stages - 1}, which is one "
            "forward and one backward for each but the last) with PipelinedExecution"
        )
    if not training and options.device_iterations < stages:
        raise Error(
            f"deviceIterations must be at least the number of pipeline stages ({stages}) with PipelinedExecution"
        )


def check_popart_keys(options):
    known = {key for keys in MANIFEST["popart_keys"].values() for key in keys}
    for key, value in options._Popart.options.items():
        if key not in known and key not in OWN_KEYS:
            raise Error(f"Unknown option {key} passed to _Popart.set")
        if key in NEVER_SET and value not in (0, 1, False):
            raise NotSimulated(f"_Popart.set({key!r}, {value!r}) changes numbers")
        wanted = {"BOOL": bool, "UINT64": int, "DOUBLE": float, "STRING": str, "ENUM": int}
        kind = next((kind for kind, keys in MANIFEST["popart_keys"].items() if key in keys), None)
        if kind and not isinstance(value, wanted[kind]):
            raise Error(f"_Popart.set({key!r}): {kind} is wanted, not {type(value).__name__}")
