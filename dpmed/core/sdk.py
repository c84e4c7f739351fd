"""Where PopTorch lives: the recipe says, or an enabled Poplar SDK. Told before any heavy library is loaded."""

import os
import shutil

from dpmed.core.errors import DeviceError
from dpmed.core.specs import HardwareFlags

ENABLED = "POPLAR_SDK_ENABLED"
"""Set by the SDK's enable script."""
PYTHON = "python3.8"
"""The one that the last SDK's PopTorch is built for."""


def sdk_python(flags: HardwareFlags) -> str:
    """The interpreter to start the worker with. Raises `DeviceError` where none can be told."""
    named = flags.ipu_python or (PYTHON if os.environ.get(ENABLED) else "")
    if not named:
        raise DeviceError(
            "no IPU can be used: no Poplar SDK is enabled",
            hint="source the SDK's enable script, or name its Python with --set hardware.ipu_python=PATH (docs/ipu.md);"
            " --device cpu or cuda trains with the same guarantee",
        )
    found = shutil.which(named)
    if found is None:
        raise DeviceError(
            f"no IPU can be used: there is no interpreter {named!r}",
            hint="--set hardware.ipu_python=PATH names the Python that has PopTorch (docs/ipu.md)",
        )
    return found
