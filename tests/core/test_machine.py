"""What the machine has is read, not guessed, and without loading a heavy library."""

import subprocess
import sys
from importlib import metadata

from dpmed.core.machine import machine, packages


def test_the_machine_has_cores_memory_and_disk(tmp_path):
    here = machine(tmp_path)
    assert here.cores >= 1
    assert 0 < here.memory_available_bytes <= here.memory_bytes
    assert here.disk_free_bytes > 0


def test_versions_are_the_installed_ones():
    versions = packages().versions
    assert versions["torch"] == metadata.version("torch")
    assert versions["dp_accounting"] == metadata.version("dp-accounting")
    assert "pytest" not in versions  # it belongs to an extra


def test_a_missing_requirement_is_none_and_a_missing_extra_is_named(monkeypatch):
    wanted = ["torch>=2", "no-such-thing>=1", 'nor-this; extra == "dev"', 'pytest>=1; extra == "dev"']
    monkeypatch.setattr(metadata, "requires", lambda _: wanted)
    found = packages()
    assert found.versions["no_such_thing"] is None
    assert found.extras_missing == {"dev": ("nor-this",)}


def test_a_source_tree_that_is_not_installed_has_no_versions_to_tell():
    assert packages("no-such-distribution").versions["no-such-distribution"] is None


def test_looking_loads_no_heavy_library():
    program = (
        "import sys; from pathlib import Path; from dpmed.core.machine import machine, packages\n"
        "machine(Path()); packages(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
