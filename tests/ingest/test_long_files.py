"""A file of many frames is looked through, and written, in little memory, however long it is."""

import subprocess
import sys

import numpy as np
import pytest

from tests.ingest.test_multi_frame import SHARED, enhanced, frame, saved

MOST_MIB = 200
FRAMES, SIDE = 160, 512
WATCHED = """
import re, sys
from pathlib import Path
from dpmed.cli.main import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.fixture
def long_file(make, tmp_path):
    """A generated chest again and again, with noise, 80 MiB."""
    from dpmed.samples.chest import draw_chest, render_chest
    from dpmed.samples.shapes import Grid

    rng = np.random.default_rng(5)
    chest = draw_chest(rng, positive=True)
    small = render_chest(chest, Grid((4, SIDE // 2, SIDE // 2), (5.0, 1.4, 1.4), (chest.level_mm - 10, 0.0, 0.0)))
    few = small.repeat(2, axis=1).repeat(2, axis=2) + rng.normal(0, 20, (4, SIDE, SIDE))
    pixels = np.clip(few + 1024, 0, 4095).astype(np.uint16).repeat(FRAMES // len(few), axis=0)
    frames = [frame(2.5 * number) for number in range(FRAMES)]
    shared = SHARED | {"PixelMeasuresSequence": {"PixelSpacing": [0.7, 0.7], "SliceThickness": "2.5"}}
    return saved(enhanced(make, frames, pixels, shared), tmp_path / "in" / "long.dcm")


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read where Linux writes it")
def test_a_long_file_is_looked_through_for_text_and_faces_in_200_mib(long_file, tmp_path):
    pytest.importorskip("rapidocr")
    pytest.importorskip("onnxruntime")
    command = ["ingest", long_file.parent, "--format", "dicom", "--key", tmp_path / "key", "--out", tmp_path / "out"]
    run = subprocess.run([sys.executable, "-c", WATCHED, *command, "--quiet"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout.split()[-1]) / 1024 <= MOST_MIB
