"""PoplarExecutor: the model's two copies, host and device, and who may think that they agree."""

import time

import torch

from . import _export, _outputs, _wrap, enums
from ._device import Program
from ._errors import Error
from ._faults import misbehave, swap_two
from ._inputs import Arguments, check_against, check_batch
from ._manifest import complete, not_simulated
from ._mutants import acts
from ._replica import PerReplica, check_per_replica
from .optim import SGD
from .options import Options

NOT_COMPILED = "Model has not been compiled or has been destroyed."


@complete(
    "PoplarExecutor",
    refused=("getPerfCounters", "getHostIpuLatency", "getComputeLatency", "getIpuHostLatency", "compilationTime"),
)
class PoplarExecutor:
    rng_state = property(not_simulated("rng_state"))

    def __init__(self, model, options, training, poptorch_version, optimizer=None, user_model=None):
        if options is not None and not isinstance(options, Options):
            raise Error(f"Invalid type: 'options' is of type {type(options)} (Expected poptorch.Options)")
        if options is not None:
            options._freeze()
        self._options = options.clone() if options is not None else Options()
        self._user_model = user_model or model
        self._training = training
        self._program = self._compiled_inputs = None
        self._attached = self._dirty_host_weights = False
        self._host_weights_version = 0
        self._seconds = []
        self._anchors = {}
        if self._options.defaultOutputMode():
            self._options.outputMode(enums.OutputMode.Final if training else enums.OutputMode.All)
        if not training and self._options.Training.gradient_accumulation != 1:
            raise Error("You must set poptorch.Options().Training.gradientAccumulation to 1 for an inferenceModel")
        assert training or not optimizer, "an optimizer is for training: there is none in inference"
        self._arguments = Arguments(self._user_model)
        self._optimizer = None
        self.per_replica_params = {}
        if training:
            self.setOptimizer(optimizer or SGD(self._user_model.parameters(), lr=0.01))
            self._classes = _wrap.wrap(self, self._user_model)
        self._options._freeze()

    model = property(lambda self: self._user_model)
    options = property(lambda self: self._options)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._user_model, name)
        return PerReplica(self, name, found) if isinstance(found, torch.nn.Parameter) else found

    # The life of the executable.

    def isCompiled(self):
        return self._program is not None

    def isAttachedToDevice(self):
        return self.isCompiled() and self._attached

    def compile(self, *args, **kwargs):
        if not self.isCompiled():
            self._compile(self._arguments.ordered(args, kwargs))

    def _compile(self, values):
        check_batch(values, self._options)
        check_per_replica(self._user_model, self.per_replica_params)
        program = Program(self._user_model, self._options, self._optimizer, self._training)
        program.compile(values)
        _export.remember(program, self._options)
        self._program, self._compiled_inputs = program, values
        self._attached = self._options.connection_type != enums.ConnectionType.Never

    def compileAndExport(self, filename, *args, export_model=True, **kwargs):
        self.compile(*args, **kwargs)
        self.save(filename, export_model)

    def save(self, filename, export_model=True, save_rng_state=True):
        self._must_be_compiled()
        _export.save(filename, self._program, self._compiled_inputs)

    def loadExecutable(self, filename):
        digest, values = _export.load(filename)
        self._compile(values)
        if self._program.digest() != digest:
            self._program = None
            raise Error(f"Invalid file {filename}: it was made of another model or with other options")

    def destroy(self):
        """Pull what is still on the device, let go of it, and unwrap. Without an executable nothing happens."""
        if not self.isCompiled():
            return
        if self._training:
            self.copyWeightsToHostIfNeeded()
        self._program = None
        self._attached = False
        if self._training:
            _wrap.unwrap(self._user_model)

    def detachFromDevice(self):
        self._must_be_compiled()
        if not self._attached:
            raise Error("Device is not attached")
        self.copyWeightsToHostIfNeeded()
        self._attached = False

    def attachToDevice(self):
        self._must_be_compiled()
        assert self._options.connection_type != enums.ConnectionType.Never, "Trying to attach to an offline device"
        if self._attached:
            raise Error("Device is already attached")
        self._attached = True
        self.copyWeightsToDevice()

    def _must_be_compiled(self):
        if not self.isCompiled():
            raise Error(NOT_COMPILED)

    # Weights, there and back.

    def copyWeightsToHostIfNeeded(self):
        if self._dirty_host_weights:
            self.copyWeightsToHost()
            return True
        return False

    @torch.no_grad()
    def copyWeightsToHost(self):
        self._must_be_compiled()
        self._dirty_host_weights = False
        self._host_weights_version += 1
        placed = self._program.placed
        pairs = {name: placed.device[name] for name in placed.host}
        if acts("stale-weights"):
            return
        if acts("swapped-weights"):
            swap_two(pairs)
        for name, tensor in pairs.items():
            placed.host[name].data.copy_(tensor)

    @torch.no_grad()
    def copyWeightsToDevice(self):
        """Host to device, whatever the device knew: weights trained since the last pull are lost."""
        self._must_be_compiled()
        self._dirty_host_weights = False
        placed = self._program.placed
        for name, tensor in placed.host.items():
            stale = "stale-parameters" if placed.is_parameter(name) else "stale-buffers"
            if not acts("stale-device", stale) and (placed.is_parameter(name) or tensor.is_floating_point()):
                placed.device[name].data.copy_(tensor)

    def copyNamedBuffersToDevice(self):
        self._must_be_compiled()
        if "updatableNamedBuffers" not in self._options._Popart.options:
            raise Error("No named buffers marked as updatable via updatableNamedBuffers option")
        self._dirty_host_weights = False
        for name in self._options._Popart.options["updatableNamedBuffers"]:
            self._program.placed.device[name].copy_(self._program.placed.host[name])

    def load_state_dict(self, state_dict, strict=True):
        found = self._user_model.load_state_dict(state_dict, strict)
        if self.isAttachedToDevice():
            self.copyWeightsToDevice()
        return found

    def setOptimizer(self, optimizer):
        if not isinstance(optimizer, torch.optim.SGD) or any(group["nesterov"] for group in optimizer.param_groups):
            not_simulated(f"{type(optimizer).__name__}, or SGD with Nesterov momentum,")()
        self._optimizer = optimizer
        if self.isCompiled():
            self._program.replace_optimizer(optimizer)

    # Running.

    def __call__(self, *args, **kwargs):
        assert self._options.connection_type != enums.ConnectionType.Never, (
            "a model on an offline device (ConnectionType.Never) is compiled and never run"
        )
        values = self._arguments.ordered(args, kwargs)
        if not self.isCompiled():
            self._compile(values)
        if not self._attached:
            self.attachToDevice()
        if not self._training:
            self._follow_training()
        check_against(self._arguments, self._compiled_inputs, values)
        misbehave(self._program.calls)
        began = time.perf_counter()
        self._dirty_host_weights = False
        try:
            result = self._program.run(values)
        finally:
            self._dirty_host_weights = self._training
        self._anchors = self._program.anchored()
        self._seconds = [time.perf_counter() - began]
        for tensor in _outputs.flat(result):
            tensor.backward = forbidden
        return result

    def _follow_training(self):
        """A model that is trained elsewhere is run with the weights it has there by now."""
        trainer = getattr(type(self._user_model), _wrap.WRAPPED, lambda: None)()
        if trainer is None:
            return
        trainer.copyWeightsToHostIfNeeded()
        if trainer._host_weights_version != self._host_weights_version:
            self.copyWeightsToDevice()
            self._host_weights_version = trainer._host_weights_version

    # Looking in.

    def getTensorNames(self):
        assert self.isCompiled(), "Model must be compiled before calling getTensorNames"
        return self._program.tensor_names()

    def getAnchoredTensor(self, short_name):
        assert short_name in self._anchors, f"No tensor with name {short_name} found."
        return self._anchors[short_name]

    def getLatency(self):
        """Seconds by this machine's clock, smallest, largest and mean; they say nothing about an IPU."""
        if not self._seconds:
            raise Error("The model has not been run.")
        return min(self._seconds), max(self._seconds), sum(self._seconds) / len(self._seconds)

    def cycleCount(self):
        if not self._options._Popart.options["instrumentWithHardwareCycleCounter"]:
            raise Error("Cycle count logging is disabled. Please set option logCycleCount to True to enable.")
        if not self.isCompiled():
            raise Error("Please run the model at least once before obtaining cycle count.")
        return not_simulated("cycleCount")()


def forbidden(*args, **kwargs):
    raise Error("backward() cannot be called explicitly on outputs of a PopTorch model.")
