"""What every format promises: the same answers, the papers with it, nothing that stays, all or nothing."""

import io
import json
import re
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dpmed.cli.main import main
from dpmed.core.errors import ConfigError, ExitCode, MismatchError
from dpmed.core.folders import RELEASE_FILES, RunFolder
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import ModelSpec
from dpmed.export import FORMATS, export, proof
from dpmed.export.interface import AXES, Interface
from dpmed.export.interface import Tensor as End
from dpmed.export.to_onnx import write_onnx
from dpmed.export.torchscript import write_torchscript
from dpmed.models import build, catalogue

ONNX = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("onnx", "onnxruntime", "onnxscript")), reason="needs the extra onnx"
)
EACH = [pytest.param(name, marks=ONNX if name == "onnx" else ()) for name in FORMATS]
TRIO = ["2-D classifier", "2-D U-Net", "3-D U-Net"]


def torchscript(path: Path) -> Callable[[Tensor], Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.load(str(path))


def onnx(path: Path) -> Callable[[Tensor], Tensor]:
    from onnxruntime import InferenceSession

    session = InferenceSession(str(path))
    return lambda image: torch.from_numpy(session.run(None, {"image": image.numpy()})[0])


def safetensors(path: Path) -> Callable[[Tensor], Tensor]:
    rebuilt = build(RunConfig.from_json((path / "config.json").read_text()).model).eval()
    rebuilt.load_state_dict(load_file(path / "model.safetensors"))
    return rebuilt


def monai_bundle(path: Path) -> Callable[[Tensor], Tensor]:
    return torchscript(path / "models" / "model.ts")


OPEN = {"torchscript": torchscript, "onnx": onnx, "monai-bundle": monai_bundle, "safetensors": safetensors}


def papers(form: str, path: Path) -> dict[str, str]:
    """The texts that came with an export, by name."""
    if form == "torchscript":
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if "/extra/" in name]
            return {Path(name).name: archive.read(name).decode() for name in names}
    if form == "onnx":
        from onnxruntime import InferenceSession

        return dict(InferenceSession(str(path)).get_modelmeta().custom_metadata_map)
    folder = path / "docs" if form == "monai-bundle" else path
    return {file.name: file.read_text() for file in folder.iterdir() if file.suffix in (".json", ".md")}


def contents(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


@pytest.mark.parametrize("form", EACH)
@pytest.mark.parametrize("kind", TRIO)
@torch.no_grad()
def test_a_reopened_export_answers_like_the_trained_network_in_any_batch(exported, network, kind, form) -> None:
    run, done = exported(kind, form)
    answer, original = OPEN[form](done.path), network(run)
    recipe = RunConfig.load(run).recipe.data
    for batch in (1, 5):
        image = torch.randn(batch, len(recipe.modalities), *recipe.image_size)
        assert (answer(image) - original(image)).abs().max() < 1e-4
    assert done.proof.largest_difference < 1e-4
    assert {shape[0] for shape in done.proof.shapes} == {1, 2, 3}


@pytest.mark.parametrize("form", EACH)
@torch.no_grad()
def test_a_segmentation_takes_images_of_other_sides(exported, network, form) -> None:
    run, done = exported("3-D U-Net", form)
    image = torch.randn(1, 2, 24, 16, 40)
    assert torch.allclose(OPEN[form](done.path)(image), network(run)(image), atol=1e-4)


@pytest.mark.parametrize("form", EACH)
def test_every_export_carries_statement_card_configuration_and_interface(exported, form) -> None:
    run, done = exported("2-D U-Net", form)
    found = papers(form, done.path)
    for path in (run.statement, run.card, run.config):
        assert found[path.name] == path.read_text()
    interface = json.loads(found["interface.json"])
    assert interface["input"]["channels"] == ["flair", "t1"]
    assert interface["input"]["axes"] == ["batch", "channel", "row", "column"]
    assert interface["output"]["channels"] == ["whole_tumour", "tumour_core", "enhancing_tumour"]


@pytest.mark.parametrize("form", EACH)
def test_nothing_of_the_curator_and_no_path_of_this_machine_is_in_an_export(exported, form) -> None:
    run, done = exported("2-D classifier", form)
    written = contents(done.path)
    for word in ("CANARY", "site-packages", str(run.root), str(Path(__file__).parents[2]), str(Path.home())):
        assert word.encode() not in written, word


@pytest.mark.parametrize("form", EACH)
def test_whoever_may_read_one_file_of_an_export_may_read_all(exported, form) -> None:
    path = exported("2-D classifier", form)[1].path
    assert all(place.stat().st_mode & 0o444 == 0o444 for place in (path, *path.rglob("*")))


@pytest.mark.parametrize("form", EACH)
def test_the_run_is_left_as_it_was(make_run, form) -> None:
    run = make_run("2-D classifier")
    before = {path: path.read_bytes() for path in run.root.rglob("*") if path.is_file()}
    export(run, form)
    assert {path.name for path in run.release.iterdir()} <= RELEASE_FILES
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize("form", EACH)
def test_an_export_that_answers_otherwise_leaves_nothing(make_run, form, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("2-D classifier")
    monkeypatch.setattr(proof, "TOLERANCE", -1.0)  # nothing is near enough
    with pytest.raises(MismatchError, match="answers otherwise"):
        export(run, form)
    assert not list((run.root / "export").iterdir())


@pytest.mark.parametrize("form", EACH)
def test_a_diverged_network_is_not_exported(make_run, form) -> None:
    run = make_run("2-D classifier")
    weights = load_file(run.model)
    save_file({name: tensor * float("nan") for name, tensor in weights.items()}, run.model)
    with pytest.raises(MismatchError, match="diverged"):
        export(run, form)
    assert not list((run.root / "export").iterdir())


@pytest.mark.parametrize("form", EACH)
def test_nothing_is_written_over_and_release_takes_nothing_in(make_run, form, tmp_path: Path) -> None:
    run = make_run("2-D classifier")
    taken = tmp_path / "taken"
    taken.write_text("mine")
    for place in (taken, run.release / "exported", run.release):
        with pytest.raises(ConfigError):
            export(run, form, out=place)
    assert taken.read_text() == "mine"
    assert {path.name for path in run.release.iterdir()} <= RELEASE_FILES


def test_onnx_without_its_extra_says_what_to_install(make_run, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    run = make_run("2-D classifier")
    monkeypatch.setattr("dpmed.export.to_onnx.find_spec", lambda _: None)
    assert main(["export", str(run.root), "--format", "onnx"]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert "onnxscript" in said
    assert 'pip install -c constraints.txt -e ".[onnx]"' in said
    assert not (run.root / "export").exists()


def test_a_run_that_is_not_finished_damaged_or_not_one_is_refused(make_run, tmp_path: Path) -> None:
    run = make_run("2-D classifier")
    whole = run.model.read_bytes()
    run.model.write_bytes(whole[:100])
    assert typed(run) == ExitCode.MISMATCH
    save_file({"other": torch.zeros(1)}, run.model)
    assert typed(run) == ExitCode.MISMATCH
    run.model.unlink()
    assert typed(run) == ExitCode.MISMATCH
    assert typed(RunFolder(tmp_path)) == ExitCode.MISMATCH


def test_a_run_without_a_card_gets_one_that_says_so(make_run) -> None:
    run = make_run("2-D classifier")
    run.card.unlink()
    assert "Not evaluated yet" in (export(run, "safetensors").path / "card.md").read_text()


def test_json_holds_what_the_contract_names(make_run, capsys) -> None:
    run = make_run("2-D U-Net")
    assert typed(run, "--json") == ExitCode.DONE
    got = json.loads(capsys.readouterr().out)
    assert got["schema"] == "dpmed.export/1"
    assert (got["format"], got["path"]) == ("safetensors", str(run.root / "export" / "safetensors"))
    assert {"model.safetensors", "statement.json", "card.md", "config.json", "README.md"} <= set(got["files"])
    assert got["largest_difference"] < 1e-4
    assert (got["epsilon"], got["delta"], got["unit"], got["valid"]) == (7.5, 1e-3, "patient", True)


def test_the_terminal_says_the_promise_with_its_unit(make_run, capsys) -> None:
    assert typed(make_run("2-D classifier")) == ExitCode.DONE
    assert "epsilon 7.5 at delta 0.001, per patient" in capsys.readouterr().out


def test_the_example_of_the_weights_readme_runs_as_it_stands(exported) -> None:
    folder = exported("2-D U-Net", "safetensors")[1].path
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "torch.Size([1, 3, 32, 24])"


@ONNX
@pytest.mark.parametrize("kind", TRIO)
def test_an_onnx_file_is_valid_and_says_which_sides_may_differ(exported, kind) -> None:
    import onnx as standard

    model = standard.load(exported(kind, "onnx")[1].path)
    standard.checker.check_model(model, full_check=True)
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [18]
    batch, _, *sides = model.graph.input[0].type.tensor_type.shape.dim
    assert batch.dim_param == "batch"
    assert all(bool(side.dim_param) == (kind != "2-D classifier") for side in sides)
    assert (model.graph.input[0].name, model.graph.output[0].name) == ("image", "logits")


def test_a_torchscript_file_is_a_zip_that_torch_reads_without_dpmed(exported, alone) -> None:
    path = exported("2-D classifier", "torchscript")[1].path
    code = (
        "import sys, warnings; warnings.simplefilter('ignore'); sys.modules['dpmed'] = sys.modules['monai'] = None\n"
        "import torch; extra = {'statement.json': ''}\n"
        f"print(torch.jit.load({str(path)!r}, _extra_files=extra)(torch.zeros(1, 1, 32, 24)).shape)\n"
        "print(extra['statement.json'].decode())"
    )
    done = subprocess.run([sys.executable, "-c", code], env=alone, capture_output=True, text=True, check=True)
    size, _, told = done.stdout.partition("\n")
    assert size == "torch.Size([1, 1])"
    assert json.loads(told)["epsilon"] == 7.5
    assert zipfile.is_zipfile(io.BytesIO(path.read_bytes()))


def typed(run: RunFolder, *options: str) -> int:
    return main(["export", str(run.root), "--format", "safetensors", *options])


NORM_FREE = {"weight_standardization": True, "norm": "none"}
VARIANTS = [
    *((name, {}) for name in catalogue()),
    ("unet", {"weight_standardization": True}),
    ("resnet10-gn", NORM_FREE),
]


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_every_network_of_the_catalogue_can_be_exported(
    tmp_path: Path, name: str, variant: dict[str, object], dims: int
) -> None:
    axes, multiple = ("batch", "channel", *AXES[dims]), 8 if name == "unet" else None
    ends = {"axes": axes, "size": (32,) * dims, "sides_multiple_of": multiple, "meaning": ""}
    both = Interface(
        input=End(name="image", channels=("t1", "flair"), **ends),
        output=End(name="logits", channels=("tumour",), **ends),
        spacing_mm=None,
        normalisation=(),
        background=0.0,
    )
    spec = ModelSpec(name=name, spatial_dims=dims, in_channels=2, out_channels=1, width=4, **variant)
    network = build(spec).eval().requires_grad_(False)
    assert write_torchscript(tmp_path / "model.ts", network, both, {}).largest_difference < 1e-4
    if variant and not ONNX.args[0]:
        assert write_onnx(tmp_path / "model.onnx", network, both, {}).largest_difference < 1e-4
