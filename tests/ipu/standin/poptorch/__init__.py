"""A stand-in for PopTorch 3.4, for tests: the names, rules and refusals of its published source, computed on the CPU.

It is no PopTorch and no evidence about an IPU. It is built from tests/ipu/poptorch_manifest.json, and fails on all that
is not in there. README.md in the folder above says what it enforces and which misbehaviours it can act out.
"""

from . import _standing, enums, ops, optim  # isort: skip
from . import _manifest
from ._errors import Error, RecoverableError, UnrecoverableError
from ._executor import PoplarExecutor
from ._limits import ipus_here as _ipus_here
from ._wrap import wrapped as _wrapped
from .ops import (
    BeginBlock,
    Block,
    identity_loss,
    isRunningOnIpu,
    nop,
    recomputationCheckpoint,
    removeBlocks,
    set_available_memory,
)
from .options import Options, PipelinedExecution, ShardedExecution, Stage

for _name in _manifest.MANIFEST["enums"]:
    globals()[_name] = getattr(enums, _name)

__version__ = _manifest.MANIFEST["poptorch_version"] + "+standin"


def trainingModel(model, options=None, optimizer=None):
    if isinstance(model, PoplarExecutor):
        model = model._user_model
    if _wrapped(model):
        raise RuntimeError("the model has already been wrapped by poptorch.trainingModel: model.destroy() unwraps it")
    return PoplarExecutor(model, options, True, __version__, optimizer=optimizer)


def inferenceModel(model, options=None):
    if isinstance(model, PoplarExecutor):
        model = model._user_model
    return PoplarExecutor(model, options, False, __version__)


def ipuHardwareIsAvailable(num_ipus=1):
    return _ipus_here() >= num_ipus


def ipuHardwareVersion():
    assert _ipus_here(), "No IPU hardware available on this system"
    return 2


def setLogLevel(level):
    assert isinstance(level, int) or level in ("TRACE", "DEBUG", "INFO", "WARN", "ERR", "OFF"), level


def createPoptorchError(msg):
    return Error(msg)


def __getattr__(name):
    known = (*_manifest.MANIFEST["functions"], *_manifest.MANIFEST["other_classes"])
    if name in {item.split(".")[0] for item in known}:
        raise _manifest.NotSimulated(f"poptorch.{name} exists and is not acted out by the stand-in")
    raise AttributeError(f"module 'poptorch' has no attribute '{name}'")
