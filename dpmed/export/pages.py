"""The `README.md` of an exported folder, and the licence of a bundle: what lies there and how to use it."""

from dpmed.core.runconfig import RunConfig
from dpmed.export.interface import Interface

PAPERS = """\
- `statement.json`: what is promised to the patients who were trained on. Hand it on with the model.
- `card.md`: what the model is for, how well it does, where it ends. Not a medical device.
- `config.json`: how it was built and trained.
- `interface.json`: axes, channels, sizes, normalisation of what the network takes and gives.
"""

WEIGHTS = """\
# Weights of a model trained with dpmed

`model.safetensors` holds numbers alone: opening it runs no code.

{papers}
With dpmed installed, in this folder:

```python
from pathlib import Path

import torch
from safetensors.torch import load_file

from dpmed.core.runconfig import RunConfig
from dpmed.models import build

config = RunConfig.from_json(Path("config.json").read_text())
network = build(config.model).eval()
network.load_state_dict(load_file("model.safetensors"))
with torch.no_grad():
    print(network(torch.zeros({shape})).shape)
```
"""

BUNDLE = """\
# {title}

A MONAI bundle that reads NIfTI volumes and writes {writes}. It needs no dpmed:

```sh
pip install monai nibabel pytorch-ignite fire
python -m monai.bundle run --config_file configs/inference.json --dataset_dir DIR --output_dir OUT
```

Run it in this folder (or add `--bundle_root` with its path). Every case in DIR, at any depth, is {files}.

- `models/model.ts`: the network as TorchScript. There is no `model.pt`: it would be a pickle, which can run code.
- `models/model.safetensors`: the same weights for further training; `docs/config.json` says how the network is built.
- `scripts/volume.py`: what MONAI has no transform for. Read it, and `configs/`, before you run them: a bundle is code.
- `docs/`: `statement.json` (what is promised to the patients who were trained on; hand it on with the model),
  `card.md`, `config.json`, `interface.json`.

Not a medical device.
"""

LICENCE = """\
configs/ and scripts/ are part of dpmed, under the Apache License, Version 2.0:
https://www.apache.org/licenses/LICENSE-2.0

models/ belongs to whoever trained the model; their licence goes here before they hand it on.
"""


def weights_page(interface: Interface) -> str:
    """How to load the weights, in code that runs as it stands."""
    shape = (1, len(interface.input.channels), *interface.input.size)
    return WEIGHTS.format(papers=PAPERS, shape=", ".join(map(str, shape)))


def bundle_page(config: RunConfig) -> str:
    """How to run the bundle."""
    segments = config.task.kind == "segmentation"
    files = ", ".join(f"`<case>_{name}.nii.gz`" for name in config.recipe.data.modalities)
    return BUNDLE.format(
        title=config.recipe.name,
        writes="a map of labels on the grid of each" if segments else "`probabilities.csv`, a line for each",
        files=files,
    )
