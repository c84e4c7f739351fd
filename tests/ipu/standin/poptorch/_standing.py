"""Whether PopTorch can be imported at all: it cannot under the wrong torch, nor without an enabled SDK."""

import torch

from ._manifest import MANIFEST
from ._mutants import acts

if acts("wrong-torch"):
    raise AssertionError(
        "This version of PopTorch only works with torch=={} but the version installed is {}".format(
            MANIFEST["torch"], torch.__version__
        )
    )
if acts("no-sdk"):
    raise ImportError(
        "Unable to import PopTorch, this can be caused by attempting to import PopTorch without an active Poplar SDK.\n"
        "  The SDK can be enabled by running: `source /path/to/poplar-sdk/enable`"
    )
