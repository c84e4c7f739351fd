"""`configs/inference.json` of a bundle: dpmed's pipeline in MONAI's own transforms, network, and what is written."""

from typing import Any

import numpy as np

from dpmed.core.labels import LabelScheme
from dpmed.core.recipe import DataRecipe
from dpmed.core.runconfig import RunConfig
from dpmed.evaluate.inference import OVERLAP, PATCHES_AT_ONCE, SLICES_AT_ONCE
from dpmed.export.interface import background, is_ct
from dpmed.predict.back import labelled

Json = dict[str, Any]
IMAGE, ANSWER = "image", "pred"
NETWORK = "$torch.jit.load(@bundle_root + '/models/model.ts', map_location=@device).eval()"


def inference(config: RunConfig) -> Json:
    """What `python -m monai.bundle run` needs, with the names that MONAI's tools look for."""
    data, segments = config.recipe.data, config.task.kind == "segmentation"
    return {
        "imports": ["$import torch"],
        "bundle_root": ".",
        "dataset_dir": "@bundle_root",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "network_def": NETWORK,
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": _preprocessing(data)},
        "cases": {"_target_": "scripts.volume.cases_in", "folder": "@dataset_dir", "modalities": list(data.modalities)},
        "dataset": {"_target_": "Dataset", "data": "@cases", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": _segmenting(data) if segments else _classifying(data),
        "postprocessing": {"_target_": "Compose", "transforms": _masks(config) if segments else []},
        "handlers": [] if segments else [_table()],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
        },
        "run": ["$@evaluator.run()"],
    }


def _preprocessing(data: DataRecipe) -> list[Json]:
    """Step by step what `data/pipeline` does with a volume."""
    keys = list(data.modalities)
    steps: list[Json] = [
        {"_target_": "LoadImaged", "keys": keys, "reader": "NibabelReader", "ensure_channel_first": True},
        {"_target_": "Orientationd", "keys": keys, "axcodes": "LPS", "labels": None},
    ]
    if data.spatial_dims == 3 and data.spacing_mm is not None:
        spacing = list(data.spacing_mm[::-1])
        steps.append({"_target_": "Spacingd", "keys": keys, "pixdim": spacing, "mode": ["bilinear"] * len(keys)})
    steps += [{"_target_": "ConcatItemsd", "keys": keys, "name": IMAGE}, {"_target_": "SelectItemsd", "keys": IMAGE}]
    return [*steps, _normalised(data), _ready(data)]


def _normalised(data: DataRecipe) -> Json:
    if not is_ct(data):
        return {"_target_": "NormalizeIntensityd", "keys": IMAGE, "nonzero": True, "channel_wise": True}
    low, high = data.window_hu
    window = {"a_min": low, "a_max": high, "b_min": -1.0, "b_max": 1.0, "clip": True}
    return {"_target_": "ScaleIntensityRanged", "keys": IMAGE, **window}


def _ready(data: DataRecipe) -> Json:
    step: Json = {"_target_": "scripts.volume.Readyd", "keys": IMAGE}
    if data.spatial_dims == 3:
        return step
    pixel_mm = None if data.spacing_mm is None else list(data.spacing_mm)
    return step | {"slice_size": list(data.image_size), "pixel_mm": pixel_mm, "background": background(data)}


def _segmenting(data: DataRecipe) -> Json:
    size = list(data.image_size)
    if data.spatial_dims == 2:
        slices = {"spatial_dim": 0, "sw_batch_size": SLICES_AT_ONCE, "overlap": 0.0}
        return {"_target_": "SliceInferer", "roi_size": size, **slices}
    window = {"sw_batch_size": PATCHES_AT_ONCE, "overlap": OVERLAP, "mode": "gaussian", "cval": background(data)}
    return {"_target_": "SlidingWindowInferer", "roi_size": size, **window}


def _classifying(data: DataRecipe) -> Json:
    if data.spatial_dims == 2:
        return {"_target_": "scripts.volume.MeanProbability", "at_once": SLICES_AT_ONCE}
    patches = {"patch_size": list(data.image_size), "background": background(data), "at_once": PATCHES_AT_ONCE}
    return {"_target_": "scripts.volume.MeanProbability", **patches}


def _masks(config: RunConfig) -> list[Json]:
    assert config.label_scheme is not None, "a segmentation run has a label scheme"
    labels = by_code(config.label_scheme)
    dtype = "$torch.uint8" if max(labels) < 256 else "$torch.int16"
    saving = {"output_dtype": dtype, "output_postfix": "labels", "resample": False, "separate_folder": False}
    return [
        {"_target_": "scripts.volume.Labelsd", "keys": ANSWER, "image_key": IMAGE, "labels": labels},
        {"_target_": "SaveImaged", "keys": ANSWER, "output_dir": "@output_dir", **saving},
    ]


def by_code(scheme: LabelScheme) -> list[int]:
    """The label of every set of regions, as `dpmed predict` chooses it; the first region is the lowest bit."""
    codes, bits = np.arange(2 ** len(scheme.regions)), np.arange(len(scheme.regions))
    regions = (codes[None] >> bits[:, None]) & 1 == 1
    return [int(label) for label in labelled(regions[:, :, None, None], scheme).ravel()]


def _table() -> Json:
    """A CSV of file and probability."""
    return {
        "_target_": "ClassificationSaver",
        "output_dir": "@output_dir",
        "filename": "probabilities.csv",
        "batch_transform": f"$lambda batch: [item['{IMAGE}'].meta for item in batch]",
        "output_transform": f"$monai.handlers.from_engine(['{ANSWER}'])",
    }
