"""Files made to harm: small ones that ask for a large machine, endless nesting, names that climb out of a folder."""

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian

from .canaries.encoding import carelessly

CLIMBING = "../../climbed"
OPENING = b"\x40\0\x30\xa7SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
"""ContentSequence and an item, both of undefined length."""
CLOSING = b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"


@carelessly()
def hostile_dicom(dataset: Callable[[np.ndarray], Dataset]) -> dict[str, bytes]:
    """DICOM files by what they try; `dataset` makes an honest one of some pixels."""

    def changed(**values: object) -> bytes:
        ds = dataset(np.arange(64, dtype=np.uint16).reshape(8, 8))
        for keyword, value in values.items():
            setattr(ds, keyword, value)
            if keyword == "SOPInstanceUID":
                ds.file_meta.MediaStorageSOPInstanceUID = value
        return _bytes(ds)

    climbing = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "PatientName", "Modality")
    honest = changed()
    pixels = honest.rindex(b"\xe0\x7f\x10\x00OW")
    return {
        **{f"climbing {keyword}": changed(**{keyword: CLIMBING}) for keyword in climbing},
        "absolute": changed(SOPInstanceUID="/tmp/climbed", PatientID="/tmp/climbed"),
        "nul in a name": changed(PatientID="a\0b", SOPInstanceUID="1.2\0.3"),
        "many frames": changed(NumberOfFrames=2**31 - 1),
        "781 TiB": changed(Rows=65535, Columns=65535, NumberOfFrames=99999),
        "no rows": changed(Rows=0, Columns=0),
        "no bits": changed(BitsAllocated=0, BitsStored=0),
        "odd bits": changed(BitsAllocated=13, BitsStored=40, HighBit=99),
        "negative frames": changed(NumberOfFrames="-5"),
        "endless spacing": changed(PixelSpacing=["1e308", "1e-308"], ImagePositionPatient=["1e308", "0", "0"]),
        "no plane": changed(ImageOrientationPatient=[0, 0, 0, 0, 0, 0]),
        "deep": honest[:pixels] + OPENING * 400 + CLOSING * 400,
        "wide": changed(ContentSequence=Sequence([Dataset() for _ in range(20_000)])),
        "3.9 GB claimed": honest[:pixels] + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<L", 3_900_000_000),
        "cut in the pixels": honest[:-60],
        "open sequence": honest[:pixels] + OPENING[:-4],
        "openings alone": honest[:pixels] + OPENING * 5000,
        "endless elements": honest[:pixels] + b"\x41\x00\x01\x10LO\0\0" * 250_000,
        "executable": b"MZ\x90\0" + b"\0" * 124 + honest[128:],
        "picture": b"II*\0\x08\0\0\0" + b"\0" * 120 + honest[128:],
        "deflated bomb": _bomb(dataset(np.zeros((8, 8), np.uint16))),
        "broken stream": _bomb(dataset(np.zeros((8, 8), np.uint16)))[:2000],
        "only a preamble": b"\0" * 128 + b"DICM",
        "meta without end": b"\0" * 128 + b"DICM" + b"\x02\x00\x10\x00UI\xff\xff",
        "nothing": b"",
    }


def hostile_nifti() -> dict[str, bytes]:
    """NIfTI files by what they try, plain or compressed."""
    image = nib.Nifti1Image(np.arange(64, dtype=np.int16).reshape(4, 4, 4), np.eye(4))
    honest = image.to_bytes()

    def changed(offset: int, form: str, *values: float) -> bytes:
        content = bytearray(honest)
        struct.pack_into(form, content, offset, *values)
        return bytes(content)

    return {
        "781 TiB": changed(40, "<4h", 3, 32767, 32767, 32767),
        "no axis": changed(40, "<h", 0),
        "eight axes": changed(40, "<h", 8),
        "negative axis": changed(42, "<h", -4),
        "empty axis": changed(42, "<h", 0),
        "far voxels": changed(108, "<f", 1e30),
        "voxels nowhere": changed(108, "<f", float("nan")),
        "voxels in the header": changed(108, "<f", -352.0),
        "unknown type": changed(70, "<h", 31999),
        "colours": changed(70, "<2h", 128, 24),
        "endless scale": changed(112, "<2f", float("inf"), float("nan")),
        "no grid": changed(280, "<12f", *[float("nan")] * 12),
        "flat grid": changed(280, "<12f", *[0.0] * 12),
        "endless extension": honest[:348] + b"\1\0\0\0" + struct.pack("<2l", 2**31 - 1, 6) + honest[352:],
        "cut": honest[:400],
        "header alone": honest[:348],
        "nothing": b"",
        "gzip of nothing": gzip.compress(b""),
        "gzip cut short": gzip.compress(honest)[:40],
        "gzip bomb": gzip.compress(honest + b"\0" * 2**27, 1),
        "bomb that fits its header": gzip.compress(changed(40, "<4h", 3, 512, 512, 256) + b"\0" * 2**27, 1),
        "gzip in gzip": gzip.compress(gzip.compress(honest)),
    }


def climbed(folder: Path) -> list[Path]:
    """Whatever stands where only these files can have led."""
    return [path for path in (*folder.rglob("*climbed*"), Path("/tmp/climbed")) if path.exists()]


def _bytes(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def _bomb(ds: Dataset) -> bytes:
    """A deflated data set that grows a thousandfold."""
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ds.remove_private_tags()
    del ds.PixelData
    content = _bytes(ds)
    meta = 144 + int.from_bytes(content[140:144], "little")
    inflated = zlib.decompress(content[meta:], -zlib.MAX_WBITS)
    inflated += b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<L", 2**30)
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    grown = packer.compress(inflated) + b"".join(packer.compress(bytes(2**20)) for _ in range(2**10)) + packer.flush()
    return content[:meta] + grown
