"""`release/card.md`: what this model is, for whom, what it was promised, how well it does, and where it ends."""

from collections.abc import Sequence

from dpmed.core.errors import MismatchError
from dpmed.core.files import sha256_of, write_atomic
from dpmed.core.folders import RunFolder
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import Statement
from dpmed.evaluate import tables, words
from dpmed.evaluate.groups import SMALLEST
from dpmed.evaluate.lines import lines
from dpmed.evaluate.results import Evaluation

ANSWERS = {
    "classification": "gives the probability of {outputs} from {modalities} images, one number per patient",
    "segmentation": "marks {outputs} in {modalities} images, voxel by voxel",
}
NO_DEVICE = "**Not a medical device.** Not cleared for diagnosis, triage or any decision about a patient."
INTENDED = ("Research on training under differential privacy, and a starting point for further training.", NO_DEVICE)
INSIDE_ONLY = ("Comparison with private runs, where the patients' scans are. **Not to be released.**", NO_DEVICE)
TOO_SMALL = f"Judged on fewer than {SMALLEST} patients: the numbers stay in curator/."
LIMITS = (
    "Privacy noise costs accuracy, and costs most for the rarest kinds of patients.",
    "Other scanners, protocols, age groups or diseases than those of the training cohort: expect worse results.",
)
NOTHING_BY_GROUP = "Nothing was measured by sex, age, scanner or site"


def write_card(run: RunFolder, evaluation: Evaluation | None) -> None:
    """Write the card of a finished run; without an evaluation it says that none was made.

    Holds aggregates alone: no patient, no pixel, no path. Raises `MismatchError` if the run is not finished.
    """
    if not (run.statement.is_file() and run.model.is_file()):
        raise MismatchError("the run is not finished: it has no card yet", hint="dpmed train ... --resume")
    config = RunConfig.load(run)
    statement = Statement.from_json(run.statement.read_text())
    sections = {
        "Intended use": _bullets(INTENDED if statement.valid else INSIDE_ONLY),
        "Privacy": _privacy(statement),
        "Training data": _data(config),
        "Results": _results(evaluation),
        "Limits": _bullets((*LIMITS, *_unmeasured(evaluation))),
        "How it was trained": _training(config, statement),
        "Files": _files(run, config),
    }
    body = "\n\n".join(f"## {name}\n\n{text}" for name, text in sections.items())
    write_atomic(run.card, f"# {config.recipe.name}\n\n{_summary(config)}\n\n{body}\n")


def _summary(config: RunConfig) -> str:
    answer = ANSWERS[config.task.kind].format(
        outputs=", ".join(config.task.outputs).replace("_", " "), modalities=", ".join(config.recipe.data.modalities)
    )
    return f"A `{config.model.name}` in {config.model.spatial_dims}-D that {answer}."


def _privacy(statement: Statement) -> str:
    parts = [statement.words]
    if statement.epsilon is not None:
        parts.append("Assuming:\n\n" + _bullets(statement.assumptions))
        parts.append("Covered:\n\n" + _bullets(statement.covers))
    parts.append("Not covered:\n\n" + _bullets(statement.does_not_cover))
    return "\n\n".join(parts)


def _data(config: RunConfig) -> str:
    data = config.recipe.data
    facts = {
        "task": config.recipe.task,
        "training patients": f"{config.patients}",
        "images": ", ".join(data.modalities),
        "read as": " x ".join(map(str, data.image_size)) + (" slices" if data.spatial_dims == 2 else " patches"),
        "answers learned": ", ".join(config.task.outputs),
    }
    if config.label_scheme is not None:
        facts["labels"] = config.label_scheme.name
    return _table(("", ""), list(facts.items()))


def _results(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return "Not evaluated yet: `dpmed evaluate RUN --data DIR`."
    if is_too_small(evaluation):
        return TOO_SMALL
    rows = [(line.name, line.value, line.interval, line.meaning) for line in lines(evaluation)]
    table = _table(("measure", "result", "95 % interval", ""), rows)
    told = f"{words.title(evaluation)}.\n\n{table}\n\n{_bullets(words.explanations(evaluation))}"
    groups = tables.group_tables(evaluation.subgroups, names_sites=False)
    if not groups:
        return told
    by_group = "\n\n".join(f"### {one.title}\n\n{_table(one.head, one.rows)}" for one in groups)
    return f"{told}\n\n{by_group}\n\n{_bullets(tables.below_groups(evaluation.subgroups))}"


def is_too_small(evaluation: Evaluation) -> bool:
    """Whether results say too much about each of the patients they were measured on to leave the hospital."""
    return evaluation.patients < SMALLEST


def _unmeasured(evaluation: Evaluation | None) -> tuple[str, ...]:
    """Which groups nothing is known of."""
    if evaluation is None:
        return (f"{NOTHING_BY_GROUP}.",)
    if not evaluation.subgroups.columns:
        return (f"{NOTHING_BY_GROUP}: the dataset holds none of them.",)
    if not tables.group_tables(evaluation.subgroups, names_sites=False):
        return (f"{NOTHING_BY_GROUP}: the groups are too small to be told of, or all patients are in one.",)
    return ()


def _training(config: RunConfig, statement: Statement) -> str:
    optimizer, data = config.recipe.optimizer, config.recipe.data
    facts = {
        "steps": f"{statement.steps}",
        "probability of a patient to be in a step": f"{statement.sample_rate:.4f}",
        "clip norm of a patient's gradient": "none" if statement.clip_norm is None else f"{statement.clip_norm:g}",
        "noise multiplier": f"{statement.noise_multiplier:.4f}",
        "views of a patient per step": f"{data.draws_per_patient}, {'augmented' if data.augment else 'as they are'}",
        "optimizer": f"{optimizer.name}, learning rate {optimizer.learning_rate:g}, {optimizer.schedule}",
        "started from": _start(config),
    }
    return _table(("", ""), list(facts.items()))


def _start(config: RunConfig) -> str:
    if config.init_sha256 is None:
        return "random weights"
    return f"weights {config.init_sha256[:16]}" + (f", {config.init_seen}" if config.init_seen else "")


def _files(run: RunFolder, config: RunConfig) -> str:
    return (
        f"`model.safetensors` (SHA-256 `{sha256_of(run.model)}`), `config.json`, `ledger.jsonl`, `statement.json`. "
        f"Run `{config.run}`, made with dpmed {config.dpmed_version}."
    )


def _bullets(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
