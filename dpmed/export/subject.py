"""What is exported: a run's network, and the public papers that go with it wherever it goes."""

from dataclasses import dataclass

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from dpmed.core.errors import MismatchError
from dpmed.core.folders import RunFolder
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import ModelSpec, Statement
from dpmed.evaluate import write_card
from dpmed.evaluate.inference import NOT_OF_THE_RUN
from dpmed.export.interface import interface
from dpmed.models import build


@dataclass(frozen=True)
class Subject:
    """A finished run, read from `release/` alone: nothing of `curator/` can reach an export.

    `papers` are texts by file name: the privacy statement, the model card, the run's configuration, and what the
    network takes and gives.
    """

    config: RunConfig
    statement: Statement
    network: nn.Module
    papers: dict[str, str]


def subject(run: RunFolder) -> Subject:
    """Read a run. Raises `MismatchError` if it is not finished, damaged, or not of one piece."""
    config = RunConfig.load(run)
    if not (run.statement.is_file() and run.model.is_file()):
        raise MismatchError("the run is not finished: it has no weights to export", hint="dpmed train ... --resume")
    statement = Statement.from_json(run.statement.read_text())
    if not run.card.is_file():
        write_card(run, None)
    papers = {path.name: path.read_text() for path in (run.statement, run.card, run.config)}
    papers["interface.json"] = interface(config).to_json()
    return Subject(config, statement, _trained(run, config.model), papers)


def _trained(run: RunFolder, model: ModelSpec) -> nn.Module:
    network = build(model)
    try:
        network.load_state_dict(load_file(run.model))
    except SafetensorError:
        raise MismatchError("model.safetensors is damaged", hint=NOT_OF_THE_RUN) from None
    except RuntimeError:  # torch's answer to names or shapes that differ
        raise MismatchError("model.safetensors does not fit the run's configuration", hint=NOT_OF_THE_RUN) from None
    return network.eval().requires_grad_(False)
