"""Whether PopTorch can be imported at all: it cannot under the wrong torch, nor without an enabled SDK."""

import torch

from ._manifest import MANIFEST
from ._mutants import acts

if acts("wrong-torch"):
    raise AssertionError(
        "this PopTorch only works with torch=={} and finds {}".format(MANIFEST["torch"], torch.__version__)
    )
if acts("no-sdk"):
    raise ImportError(
        "Unable to import PopTorch: there is no active Poplar SDK. `source /path/to/poplar-sdk/enable` makes it active."
    )
