"""Executables in files. What is kept is not a program but the digest of a trace, and the inputs' types and shapes."""

import json
from pathlib import Path

import torch

from ._errors import Error


def described(value):
    if isinstance(value, torch.Tensor):
        return {"dtype": str(value.dtype).split(".")[-1], "shape": list(value.shape)}
    if isinstance(value, (list, tuple)):
        return [described(item) for item in value]
    return {"value": value}


def example(entry):
    if isinstance(entry, list):
        return tuple(example(item) for item in entry)
    return torch.zeros(entry["shape"], dtype=getattr(torch, entry["dtype"])) if "shape" in entry else entry["value"]


def save(filename, program, values):
    path = Path(filename)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"standin": 1, "digest": program.digest(), "inputs": [described(v) for v in values]}))


def load(filename):
    try:
        held = json.loads(Path(filename).read_text())
        return held["digest"], [example(entry) for entry in held["inputs"]]
    except (OSError, ValueError, KeyError) as error:
        raise Error(f"Invalid file {filename}: {error}") from error


def remember(program, options):
    """Leave a file for each trace in the executable cache, as a compiler would."""
    if options._Popart.options.get("enableEngineCaching"):
        folder = Path(options._Popart.options["cachePath"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / (program.digest()[:20] + ".popef")).touch()
