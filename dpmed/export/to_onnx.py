"""ONNX: one file for onnxruntime, TensorRT, OpenVINO and others, by PyTorch's exporter of today."""

import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dpmed.core.errors import ConfigError
from dpmed.export.interface import Interface
from dpmed.export.proof import Answer, Proof, examples, proved

OPSET = 18
NEEDED = ("onnx", "onnxruntime", "onnxscript")


def check_installed() -> None:
    """Raise `ConfigError` if the extra is missing."""
    lacking = [name for name in NEEDED if find_spec(name) is None]
    if lacking:
        raise ConfigError(
            f"--format onnx needs {', '.join(lacking)}, which {'is' if len(lacking) == 1 else 'are'} not installed",
            hint='pip install -c constraints.txt -e ".[onnx]", or use --format torchscript',
        )


def write_onnx(path: Path, network: nn.Module, interface: Interface, papers: Mapping[str, str]) -> Proof:
    """Export, write, check, open again by onnxruntime, compare. The papers are the file's metadata, by file name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own parts, about each other
        torch.onnx.export(
            network,
            (next(examples(interface)),),
            str(path),
            dynamo=True,
            opset_version=OPSET,
            input_names=[interface.input.name],
            output_names=[interface.output.name],
            dynamic_shapes=(_free_sides(interface),),
            external_data=False,
            verbose=False,
        )
    _finish(path, papers)
    return proved(network, _opened(path, interface), interface, runtime="onnxruntime")


def _free_sides(interface: Interface) -> dict[int, Any]:
    """The batch may be of any size; so may images of a segmentation, in whole multiples."""
    free: dict[int, Any] = {0: torch.export.Dim("batch")}
    if interface.input.sides_multiple_of is not None:
        for axis, name in enumerate(interface.input.axes[2:], start=2):
            free[axis] = interface.input.sides_multiple_of * torch.export.Dim(f"{name}s")
    return free


def _finish(path: Path, papers: Mapping[str, str]) -> None:
    """Add the papers; take out where in the source each node came from, which are paths of this machine."""
    import onnx

    model = onnx.load(path)
    for holder in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del holder.metadata_props[:]
        holder.doc_string = ""
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, dict(papers))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _opened(path: Path, interface: Interface) -> Answer:
    from onnxruntime import InferenceSession

    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def answer(image: Tensor) -> Tensor:
        (logits,) = session.run([interface.output.name], {interface.input.name: image.numpy()})
        return torch.from_numpy(logits)

    return answer
