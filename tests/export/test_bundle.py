"""The bundle: MONAI alone runs it, it sees what dpmed sees, and its answer lies where the scan lies."""

import csv
import json
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, verify_net_in_out
from monai.data.meta_tensor import MetaTensor

from dpmed.backends import open_backend
from dpmed.cli.main import main
from dpmed.core.labels import SCHEMES, LabelScheme
from dpmed.core.runconfig import RunConfig
from dpmed.data.pipeline import pipeline
from dpmed.data.prepared import prepared
from dpmed.data.tensors import WholeCase
from dpmed.evaluate.inference import load_weights, probabilities
from dpmed.export import export
from dpmed.export.bundle_config import by_code
from dpmed.export.scripts.volume import Labelsd, MeanProbability, Readyd, cases_in

RUNNER = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("fire", "ignite")), reason="needs fire and pytorch-ignite"
)
FILES = {"meta": "metadata", "config": "inference"}
WITHOUT_DPMED = "import sys, runpy; sys.modules['dpmed'] = None; runpy.run_module('monai.bundle', run_name='__main__')"


def monai(bundle: Path, alone: dict[str, str], *words: str) -> None:
    program = [sys.executable, "-c", WITHOUT_DPMED, *words]
    done = subprocess.run(program, cwd=bundle, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def preprocessed(bundle: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> MetaTensor:
    """What the bundle's own configuration makes of a scan, up to the network."""
    monkeypatch.syspath_prepend(bundle)
    for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
        monkeypatch.delitem(sys.modules, name)
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.json")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LoadImaged sets up a reader for DICOM that misses its decoder
        return parser.get_parsed_content("preprocessing")(files)["image"]


def seen_by_dpmed(scan, config: RunConfig) -> WholeCase:
    recipe = config.recipe.data
    item = pipeline(scan.case, scan.folder, recipe, None)
    ready = prepared(item, recipe, scan.case.intensity)
    image = ready.image.float() if recipe.spatial_dims == 2 else ready.image.float()[None]
    return WholeCase(scan.case, image, torch.zeros(1), ready.spacing_mm, np.zeros((1, 1, 1)))


@pytest.mark.parametrize("kind", ["2-D classifier", "2-D U-Net", "3-D U-Net", "3-D classifier"])
@pytest.mark.parametrize("is_resampled", [False, True], ids=["its own spacing", "the recipe's spacing"])
def test_the_bundle_sees_what_dpmed_sees_to_the_bit(make_run, brain, monkeypatch, kind, is_resampled) -> None:
    spacing = {"spacing_mm": [2.2, 1.8] if "2-D" in kind else [2.5, 2.2, 1.8]} if is_resampled else {}
    run = make_run(kind, **spacing)
    config = RunConfig.load(run)
    scan = brain(config.recipe.data.modalities)
    files = {name: str(scan.folder / path) for name, path in scan.case.images.items()}
    got = preprocessed(export(run, "monai-bundle").path, files, monkeypatch).as_tensor()
    wanted = seen_by_dpmed(scan, config).image
    assert torch.equal(got, wanted.transpose(0, 1) if "2-D" in kind else wanted[0])


@RUNNER
def test_monai_alone_runs_the_bundle_and_gives_dpmeds_probability(exported, brain, alone, tmp_path) -> None:
    run, done = exported("2-D classifier", "monai-bundle")
    config = RunConfig.load(run)
    scan = brain(("ct",))
    monai(done.path, alone, "run", "--config_file", "configs/inference.json", f"--dataset_dir={scan.folder}",
          f"--output_dir={tmp_path / 'out'}")  # fmt: skip
    ((file, probability),) = csv.reader((tmp_path / "out" / "probabilities.csv").read_text().splitlines())
    assert Path(file).name == f"{scan.case.case}_ct.nii.gz"
    backend = open_backend("cpu", model=config.model, task=config.task)
    load_weights(backend, run)
    wanted = probabilities(backend, seen_by_dpmed(scan, config), config.recipe.data).mean()
    assert abs(float(probability) - float(wanted)) < 1e-5


@torch.no_grad()
def test_patches_of_a_volume_give_dpmeds_probability(make_run, network, brain) -> None:
    run = make_run("3-D classifier")
    config = RunConfig.load(run)
    case = seen_by_dpmed(brain(("ct",)), config)
    backend = open_backend("cpu", model=config.model, task=config.task)
    load_weights(backend, run)
    mean = MeanProbability(patch_size=config.recipe.data.image_size, background=-1.0)
    wanted = probabilities(backend, case, config.recipe.data).mean()
    assert abs(float(mean(case.image, network(run))) - float(wanted)) < 1e-6


@RUNNER
@pytest.mark.parametrize("kind", ["2-D U-Net", "3-D U-Net"])
def test_monai_alone_runs_the_bundle_and_marks_what_predict_marks(make_run, brain, alone, tmp_path, kind) -> None:
    """Voxel for voxel, on the grid of the file, through a change of axes and of voxel size and back."""
    run = make_run(kind, spacing_mm=[1.8, 1.6] if "2-D" in kind else [2.5, 2.2, 1.8])
    scan = brain(("flair", "t1"))
    monai(export(run, "monai-bundle").path, alone, "run", "--config_file", "configs/inference.json",
          f"--dataset_dir={scan.folder}", f"--output_dir={tmp_path / 'out'}")  # fmt: skip
    got = nib.load(tmp_path / "out" / f"{scan.case.case}_flair_labels.nii.gz")
    source = nib.load(scan.folder / scan.case.images["flair"])
    assert got.shape == source.shape
    assert np.array_equal(got.affine, source.affine)
    assert main(["predict", str(run.root), str(scan.folder), "--out", str(tmp_path / "answers"), "--quiet"]) == 0
    (file,) = (tmp_path / "answers").rglob("*_seg.nii.gz")
    wanted = np.asarray(nib.load(file).dataobj)
    assert len(np.unique(wanted)) > 2
    assert np.mean(np.asarray(got.dataobj) != wanted) < 1e-4


@pytest.mark.parametrize("pixel_mm", [None, (2.2, 1.8), (4.0, 3.0)])
def test_what_is_marked_on_fitted_slices_lies_where_it_lay_in_the_scan(pixel_mm) -> None:
    """A one-sided block, as stored by a scanner with other axes, comes back to its own voxels but for their edge."""
    block = np.zeros((21, 40, 28), np.float32)
    block[4:9, 6:18, 3:12] = 1
    affine = torch.tensor([[0, -1.5, 0, 40], [0, 0, 2.0, -30], [-3.0, 0, 0, 25], [0, 0, 0, 1.0]], dtype=torch.float64)
    stored = MetaTensor(torch.from_numpy(block)[None], affine=affine)
    stored.meta["original_affine"], stored.meta["spatial_shape"] = affine, block.shape
    from monai.transforms.spatial.dictionary import Orientationd

    seen = Readyd("image", slice_size=(32, 48), pixel_mm=pixel_mm)(
        Orientationd("image", axcodes="LPS", labels=None)({"image": stored})
    )
    back = Labelsd("pred", image_key="image", labels=[0, 7])({**seen, "pred": seen["image"] - 0.5})["pred"]
    found = back[0].numpy() == 7
    assert torch.equal(back.affine, affine)
    assert 2 * (found & (block > 0)).sum() / (found.sum() + block.sum()) > 0.85
    assert not found[:, 22:].any()
    assert abs(np.argwhere(found).mean(0) - np.argwhere(block).mean(0)).max() < 0.5


@pytest.mark.parametrize(
    ("scheme", "labels"),
    [
        (SCHEMES["brats"], [0, 2, 0, 1, 0, 2, 4, 4]),
        (SCHEMES["binary"], [0, 1]),
        (LabelScheme(name="turned", regions={"core": (2,), "whole": (1, 2)}), [0, 0, 1, 2]),
        (LabelScheme(name="apart", regions={"one": (3,), "other": (5, 6)}), [0, 3, 5, 3]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_every_set_of_regions_has_a_label(scheme, labels) -> None:
    assert by_code(scheme) == labels


def test_metadata_has_the_keys_of_monais_schema_and_the_statement(exported) -> None:
    run, done = exported("2-D U-Net", "monai-bundle")
    found = json.loads((done.path / "configs" / "metadata.json").read_text())
    needed = {"schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version"}
    assert needed | {"task", "description", "authors", "copyright", "network_data_format"} <= found.keys()
    assert found["privacy_statement"] == json.loads(run.statement.read_text())
    tensor = found["network_data_format"]["inputs"]["image"]
    assert {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"} <= tensor.keys()
    assert tensor["channel_def"] == {"0": "flair", "1": "t1"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["2-D classifier", "3-D U-Net"])
def test_monai_finds_the_network_to_fit_its_metadata(exported, kind) -> None:
    bundle = exported(kind, "monai-bundle")[1].path
    files = {f"{kind}_file": str(bundle / "configs" / f"{name}.json") for kind, name in FILES.items()}
    verify_net_in_out("network_def", **files, device="cpu", bundle_root=str(bundle))


def test_no_pickle_but_torchscripts_own_is_in_a_bundle(exported) -> None:
    names = {path.name for path in exported("2-D classifier", "monai-bundle")[1].path.rglob("*") if path.is_file()}
    assert {"model.ts", "model.safetensors", "LICENSE", "README.md", "statement.json"} <= names
    assert not {name for name in names if name.endswith((".pt", ".pth", ".pkl", ".bin"))}


def test_cases_are_found_at_any_depth_and_a_gap_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"<case>_flair\.nii\.gz, <case>_t1\.nii\.gz"):
        cases_in(str(tmp_path), ["flair", "t1"])
    for name in ("b/x_flair", "b/x_t1", "a_flair", "a_t1", "a_t1ce"):
        path = tmp_path / f"{name}.nii.gz"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = cases_in(str(tmp_path), ["flair", "t1"])
    assert [Path(case["t1"]).name for case in found] == ["a_t1.nii.gz", "x_t1.nii.gz"]
    (tmp_path / "a_t1.nii.gz").unlink()
    with pytest.raises(ValueError, match="every case"):
        cases_in(str(tmp_path), ["flair", "t1"])
