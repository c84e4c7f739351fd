"""Codecs that pydicom would load with its first import are there when a file needs them, and not before."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pydicom
import pydicom.data
from pydicom.uid import JPEGLosslessSV1

LOOK = """
import hashlib, json, sys
from pathlib import Path
import dpmed.ingest.run
from dpmed.ingest.codecs import encoder_of
from dpmed.ingest.pixels.inspect import frames_of
from pydicom.uid import RLELossless
before = [name for name in ("gdcm", "requests", "tqdm") if name in sys.modules]
digests = [hashlib.sha256(frame.tobytes()).hexdigest() for frame in frames_of(Path(sys.argv[1]))]
print(json.dumps([before, "gdcm" in sys.modules, digests, encoder_of(RLELossless).available_plugins]))
"""


def test_gdcm_is_loaded_with_the_first_file_that_needs_it():
    path = Path(pydicom.data.get_testdata_file("SC_rgb_jpeg_gdcm.dcm"))
    header = pydicom.dcmread(path)
    assert header.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    run = subprocess.run([sys.executable, "-c", LOOK, path], capture_output=True, check=True)
    before, is_loaded, digests, encoders = json.loads(run.stdout)
    header.pixel_array_options(raw=True, decoding_plugin="gdcm")
    assert before == []
    assert is_loaded
    assert digests == [hashlib.sha256(header.pixel_array.tobytes()).hexdigest()]
    assert "gdcm" in encoders
