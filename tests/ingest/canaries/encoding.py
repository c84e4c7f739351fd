"""From data set to bytes in each transfer syntax, with words in the gaps that each of them leaves."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import jpeg_ls
import numpy as np
from openjpeg.utils import encode_array
from PIL import Image
from pydicom import config, dcmwrite
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG4HP41,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from .planting import Planter

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG": JPEGBaseline8Bit,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
    "JP2": JPEG2000Lossless,
    "video": MPEG4HP41,
    "headless": ImplicitVRLittleEndian,
}


@contextmanager
def carelessly() -> Iterator[None]:
    """What is written meanwhile is wrong on purpose, and nobody wants to hear of it."""
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def encoded(planter: Planter, ds: Dataset, syntax: str) -> bytes:
    """A file: preamble and meta that tell too much, the data set, and for compressed pixels a wordy code stream."""
    _meta(planter, ds, syntax)
    if syntax in COMPRESSED:
        ds.PixelData = encapsulate([COMPRESSED[syntax](planter, ds, frame) for frame in _frames(ds)])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        if syntax == "JPEG 2000":
            ds.PixelData = _wordy_offset_table(planter, ds.PixelData)
        if syntax == "JPEG":
            ds.LossyImageCompression, ds.LossyImageCompressionRatio = "01", "10"
            ds.PhotometricInterpretation = "YBR_FULL_422" if ds.SamplesPerPixel == 3 else "MONOCHROME2"
    buffer = io.BytesIO()
    if syntax == "headless":
        ds.preamble = b""
        dcmwrite(buffer, Dataset(ds), implicit_vr=True, little_endian=True)
    else:
        dcmwrite(buffer, ds, enforce_file_format=True)
    content = buffer.getvalue()
    return content + _after_the_stream(planter) if syntax == "deflated" else content


def _meta(planter: Planter, ds: Dataset, syntax: str) -> None:
    ds.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
    if syntax == "headless":
        return
    magic = (b"II*\0", b"MZ\x90\0", b"MM\0*", b"\0\0\0\0")[ds.InstanceNumber % 4]
    ds.preamble = (magic + planter.name("preamble").encode()).ljust(128, b"\0")
    meta = ds.file_meta
    for keyword in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle", "ReceivingApplicationEntityTitle"):
        setattr(meta, keyword, planter.upper(keyword))
    meta.SourcePresentationAddress = f"dicom://{planter.word('SourcePresentationAddress')}.example:104"
    meta.ImplementationVersionName, meta.ImplementationClassUID = (
        planter.upper("ImplementationVersionName"),
        planter.uid("meta"),
    )
    meta.PrivateInformationCreatorUID = planter.uid("PrivateInformationCreatorUID")
    meta.add_new(0x00020200, "LO", planter.word("unknown element of the meta group"))
    meta.PrivateInformation = planter.word("PrivateInformation").encode() + b"\0"


def _frames(ds: Dataset) -> list[np.ndarray]:
    shape = (int(ds.get("NumberOfFrames", 1)), ds.Rows, ds.Columns, ds.SamplesPerPixel)
    pixels = np.frombuffer(ds.PixelData, "<u2" if ds.BitsAllocated == 16 else "u1").reshape(shape)
    return [frame[..., 0] if ds.SamplesPerPixel == 1 else frame for frame in pixels]


def _jpeg(planter: Planter, ds: Dataset, frame: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=90)
    exif = b"\xff\xe1" + _counted(b"Exif\0\0" + planter.name("JPEG APP1").encode())
    comment = b"\xff\xfe" + _counted(planter.name("JPEG comment").encode())
    content = stream.getvalue()
    return _even(content[:2] + exif + comment + content[2:] + planter.word("after the end of the JPEG").encode())


def _jpeg_ls(planter: Planter, ds: Dataset, frame: np.ndarray) -> bytes:
    content = bytes(jpeg_ls.encode(frame))
    comment = b"\xff\xfe" + _counted(planter.name("JPEG-LS comment").encode())
    return _even(content[:2] + comment + content[2:] + planter.word("after the end of the JPEG-LS").encode())


def _jpeg_2000(planter: Planter, ds: Dataset, frame: np.ndarray) -> bytes:
    content = bytes(encode_array(frame, bits_stored=ds.BitsStored, use_mct=False))
    tile = content.index(b"\xff\x90")
    comment = b"\xff\x64" + _counted(b"\0\1" + planter.name("JPEG 2000 comment").encode())
    return _even(content[:tile] + comment + content[tile:] + planter.word("after the end of the JPEG 2000").encode())


def _jp2(planter: Planter, ds: Dataset, frame: np.ndarray) -> bytes:
    """The file format around the code stream, which DICOM does not want and some systems write."""
    stream = io.BytesIO()
    Image.fromarray((frame >> 4).astype("u1")).save(stream, "JPEG2000")
    content = stream.getvalue()
    at = content.index(b"jp2c") - 4
    text = planter.name("JP2 box").encode()
    boxes = b"".join((len(text) + 8).to_bytes(4, "big") + kind + text for kind in (b"xml ", b"uuid"))
    return _even(content[:at] + boxes + content[at:])


def _video(planter: Planter, ds: Dataset, frame: np.ndarray) -> bytes:
    """The beginning of a video whose remarks to the decoder are remarks about a patient."""
    name = planter.name("remark in a video").encode()
    remark = b"\0\0\0\1\x06\x05" + bytes([16 + len(name)]) + b"\xdc\x45\xe9\xbd" * 4 + name + b"\x80"
    return _even(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + remark + b"\0\0\0\1\x65" + frame.tobytes()[:500])


def _rle(planter: Planter, ds: Dataset, frame: np.ndarray) -> bytes:
    """Planes of bytes, most significant first; the header's eleven unused offsets and the end say more."""
    planes = [(frame >> 8).astype("u1"), (frame & 255).astype("u1")] if ds.BitsAllocated == 16 else [frame]
    segments = [_packed_bits(plane) for plane in planes]
    starts = [64 + sum(map(len, segments[:place])) for place in range(len(segments))]
    header = b"".join(number.to_bytes(4, "little") for number in [len(segments), *starts])
    header += planter.word("unused offsets of the RLE header").encode()
    return _even(header.ljust(64, b"\0") + b"".join(segments) + planter.word("after the RLE segments").encode())


def _packed_bits(plane: np.ndarray) -> bytes:
    rows = (bytes([len(row) - 1]) + row.tobytes() for row in plane)  # literal runs, one a row (rows are short)
    return _even(b"".join(rows))


COMPRESSED = {"JPEG": _jpeg, "JPEG-LS": _jpeg_ls, "JPEG 2000": _jpeg_2000, "JP2": _jp2, "video": _video, "RLE": _rle}


def _wordy_offset_table(planter: Planter, pixels: bytes) -> bytes:
    """A single frame needs no offset table, so nobody reads what stands there."""
    length = int.from_bytes(pixels[4:8], "little")
    words = planter.word("basic offset table").encode().ljust(12, b"\0")
    return pixels[:4] + len(words).to_bytes(4, "little") + words + pixels[8 + length :]


def _after_the_stream(planter: Planter) -> bytes:
    return planter.name("after the deflated stream").encode()


def _counted(text: bytes) -> bytes:
    return (len(text) + 2).to_bytes(2, "big") + text


def _even(content: bytes) -> bytes:
    return content + b"\0" * (len(content) % 2)


def in_spare_bits(planter: Planter, ds: Dataset, number: int) -> None:
    """Old overlays stood in the bits above the pixels': a word bit by bit, and an overlay that points at it."""
    pixels = np.frombuffer(ds.PixelData, "<u2").copy()
    bits = np.unpackbits(np.frombuffer(planter.word("spare bits of pixels").encode(), "u1"), bitorder="little")
    pixels[: len(bits)] |= bits.astype("<u2") << 14
    ds.PixelData = pixels.tobytes()
    ds.add_new(0x60200010, "US", ds.Rows)
    ds.add_new(0x60200011, "US", ds.Columns)
    ds.add_new(0x60200040, "CS", "G")
    ds.add_new(0x60200100, "US", 16)
    ds.add_new(0x60200102, "US", 14)


def after_the_pixels(planter: Planter, ds: Dataset, number: int) -> None:
    """More pixel bytes than rows, columns and frames account for."""
    ds.PixelData += planter.name("padding of PixelData").encode().ljust(64, b"\0")


def trailing_text(planter: Planter, content: bytes) -> bytes:
    """A line of text after the data set, as some archives leave it."""
    return content + planter.name("after the data set").encode() + b"\n"


def trailing_block(planter: Planter, content: bytes) -> bytes:
    """Zeros to a full block, and the rest of somebody else's file in the next."""
    return (
        content
        + b"\0" * (512 - len(content) % 512)
        + planter.name("block after the data set").encode().ljust(512, b"\0")
    )


def group_length(planter: Planter, content: bytes) -> bytes:
    """A group length (explicit little endian) that holds a name instead of a number."""
    at = content.index(b"\x10\x00\x10\x00PN")
    word = planter.word("group length").encode() + b"\0"
    return content[:at] + b"\x10\0\0\0LO" + len(word).to_bytes(2, "little") + word + content[at:]


def said_twice(planter: Planter, content: bytes) -> bytes:
    """PatientComments (explicit little endian) once more, after the pixels."""
    word = planter.word("element out of order").encode() + b"\0"
    return content + b"\x10\0\0\x40LT" + len(word).to_bytes(2, "little") + word
