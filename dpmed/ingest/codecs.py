"""pydicom without what it takes along: libraries that it loads wherever they are installed, and that are seldom needed.

GDCM takes 17 MiB and is the only codec here for lossless JPEG, and the first choice for extended JPEG: it is loaded
with the first such file. What pydicom fetches its own sample files with is not loaded at all, since nothing is fetched.
"""

import importlib
import importlib.util
import sys
from functools import cache
from types import ModuleType
from typing import cast

SELDOM_NEEDED = ("gdcm", "requests", "tqdm")


def _load_without(names: tuple[str, ...]) -> None:
    """Import pydicom while some libraries look as if they were not installed; what is loaded already stays."""
    hidden = [name for name in names if name not in sys.modules]
    # None in place of a module makes its import fail (the import system, 5.3.1).
    sys.modules.update(dict.fromkeys(hidden, cast("ModuleType", None)))
    try:
        importlib.import_module("pydicom")
    finally:
        for name in hidden:
            del sys.modules[name]


if "pydicom" not in sys.modules:
    _load_without(SELDOM_NEEDED)

from pydicom.pixels.decoders import gdcm as _gdcm_decoders  # noqa: E402
from pydicom.pixels.decoders.base import Decoder, get_decoder  # noqa: E402
from pydicom.pixels.encoders import gdcm as _gdcm_encoders  # noqa: E402
from pydicom.pixels.encoders.base import Encoder, get_encoder  # noqa: E402
from pydicom.uid import (  # noqa: E402
    HTJ2K,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

GDCM = "gdcm"
CODECS = {
    **dict.fromkeys((*JPEG2000TransferSyntaxes, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL), "pylibjpeg"),
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
    **dict.fromkeys((JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), GDCM),
    JPEGBaseline8Bit: "pillow",
}
"""The one codec for each syntax that has several. On damaged JPEG 2000, GDCM ends the whole process."""


def decoder_of(syntax: UID) -> Decoder:
    """What unpacks a transfer syntax. Raises `NotImplementedError` where pydicom knows of none."""
    if CODECS.get(syntax) == GDCM:
        _with_gdcm()
    return get_decoder(syntax)


def encoder_of(syntax: UID) -> Encoder:
    """What packs in a transfer syntax."""
    if syntax == RLELossless:
        _with_gdcm()
    return get_encoder(syntax)


@cache
def _with_gdcm() -> None:
    """Let pydicom have GDCM after all, where it is installed."""
    if _gdcm_decoders.HAVE_GDCM or importlib.util.find_spec(GDCM) is None:
        return
    importlib.reload(_gdcm_decoders)
    importlib.reload(_gdcm_encoders)
    for syntax in _gdcm_decoders.DECODER_DEPENDENCIES:
        _plug_in(get_decoder(syntax), _gdcm_decoders.__name__, "_decode_frame")
    _plug_in(get_encoder(RLELossless), _gdcm_encoders.__name__, "encode_pixel_data")


def _plug_in(coder: Decoder | Encoder, module: str, function: str) -> None:
    coder.remove_plugin(GDCM)
    coder.add_plugin(GDCM, (module, function))
