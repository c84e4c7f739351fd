"""The report of an evaluation as one page that loads nothing: whole in `curator/`, without patients in `release/`."""

import base64
import html
import json
import platform
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from string import Template

import torch

from dpmed import __version__
from dpmed.core.files import write_atomic
from dpmed.core.folders import RunFolder
from dpmed.core.manifest import Manifest
from dpmed.core.runconfig import RunConfig
from dpmed.core.specs import Statement
from dpmed.evaluate import tables, words
from dpmed.evaluate.card import INSIDE_ONLY, INTENDED, LIMITS, TOO_SMALL, is_too_small
from dpmed.evaluate.classification import THRESHOLD
from dpmed.evaluate.pictures import COLOURS
from dpmed.evaluate.report.curves import classification_curves, segmentation_curves, sweep_curve, training_curve
from dpmed.evaluate.report.gallery import Exhibit
from dpmed.evaluate.results import ClassifiedPatient, Evaluation, SegmentedPatient
from dpmed.privacy.charts import spent_over_steps
from dpmed.privacy.ledger import Ledger
from dpmed.privacy.mechanisms import mechanism_runs

PAGE = "report.html"
MOST_FAILURES = 20
STAYS = "Shows held-out patients, whom the privacy guarantee does not cover: stays in curator/."
Section = tuple[str, str]


def write_reports(
    run: RunFolder, manifest: Manifest, evaluation: Evaluation, gallery: Sequence[Exhibit], folder: Path
) -> None:
    """Write `report.html` to `folder` and, for test patients, its version without patients to `release/`."""
    config = RunConfig.load(run)
    about = _about(config, manifest, evaluation)
    whole = [
        ("Results", _results(evaluation, names_sites=True)),
        ("Beside the other run", _beside(evaluation)),
        ("What privacy costs", _sweep(evaluation)),
        (
            "How patients were told apart" if config.task.kind == "classification" else "Patient by patient",
            _curves(evaluation),
        ),
        ("Cases", _gallery(gallery, config)),
        ("Failures", _failures(evaluation)),
        ("Training", _training(run)),
        *about,
    ]
    write_atomic(folder / PAGE, _page(config, evaluation, whole, stays=STAYS, wide=config.task.kind == "segmentation"))
    if evaluation.split == "test":
        write_atomic(
            run.report, _page(config, evaluation, [("Results", _released(evaluation)), *about], stays="", wide=False)
        )


def _page(config: RunConfig, evaluation: Evaluation, sections: Iterable[Section], *, stays: str, wide: bool) -> str:
    page = Template(resources.files("dpmed.evaluate.report").joinpath("page.html").read_text(encoding="utf-8"))
    return page.substitute(
        title=_text(config.recipe.name),
        subtitle=_text(f"{words.title(evaluation)}. Run {config.run[:12]}, dpmed {__version__}"),
        stays=f'<p class="stays">{_text(stays)}</p>' if stays else "",
        promise=_promise(evaluation.statement),
        sections="\n".join(f"<h2>{_text(name)}</h2>\n{body}" for name, body in sections if body),
        case_width="34rem" if wide else "15rem",
    )


def _promise(statement: Statement) -> str:
    """The guarantee, before any result: never a number alone."""
    head = "No privacy guarantee"
    if statement.epsilon is not None:
        head = f"epsilon {statement.epsilon:.3f} at delta {statement.delta:g}, per {statement.unit}"
    lists = {
        "It assumes": statement.assumptions,
        "It covers": statement.covers,
        "It does not cover": statement.does_not_cover,
    }
    more = "".join(f"<p>{name}:</p>{_bullets(items)}" for name, items in lists.items() if items)
    warning = f'<p class="stays">{_text(statement.why_invalid)}</p>' if statement.why_invalid else ""
    return f'<p class="epsilon">{_text(head)}</p>{warning}<p>{_text(statement.words)}</p>{more}'


def _released(evaluation: Evaluation) -> str:
    if is_too_small(evaluation):
        return f"<p>{_text(TOO_SMALL)}</p>"
    return _results(evaluation, names_sites=False)


def _results(evaluation: Evaluation, *, names_sites: bool) -> str:
    """The cohort's numbers, and those of groups that are large enough to be told of."""
    below = (*words.confusions(evaluation), *words.explanations(evaluation))
    groups = tables.group_tables(evaluation.subgroups, names_sites=names_sites)
    by_group = "".join(f"<h3>{_text(one.title)}</h3>{_table(one)}" for one in groups)
    about_groups = _bullets(tables.below_groups(evaluation.subgroups))
    return f"{_table(tables.main_table(evaluation))}{_bullets(below)}{by_group}{about_groups}"


def _beside(evaluation: Evaluation) -> str:
    """Another run on the same patients."""
    if evaluation.comparison is None:
        return ""
    below = tables.below_comparison(evaluation.comparison)
    return f"{_table(tables.comparison_table(evaluation.comparison))}{_bullets(below)}"


def _sweep(evaluation: Evaluation) -> str:
    """Runs of the same recipe at other epsilon."""
    if evaluation.sweep is None:
        return ""
    return f'<div class="charts">{sweep_curve(evaluation)}</div>{_table(tables.sweep_table(evaluation.sweep))}'


def _curves(evaluation: Evaluation) -> str:
    outlined = [patient for patient in evaluation.per_patient if isinstance(patient, SegmentedPatient)]
    drawn = segmentation_curves(outlined) if evaluation.curves is None else classification_curves(evaluation.curves)
    return f'<div class="charts">{drawn}</div>'


def _gallery(gallery: Sequence[Exhibit], config: RunConfig) -> str:
    if not gallery:
        return ""
    colours = zip(config.task.outputs, COLOURS, strict=False) if config.task.kind == "segmentation" else ()
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{_text(name.replace("_", " "))}</span>' for name, colour in colours
    )
    cases = "".join(_exhibit(one) for one in gallery)
    return f'<p class="legend">{legend}</p><div class="cases">{cases}</div>'


def _exhibit(one: Exhibit) -> str:
    numbers = [number for number, _ in one.frames]
    images = "".join(
        f'<img alt="slice {number + 1}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"'
        f"{'' if number == one.start else ' hidden'}>"
        for number, jpeg in one.frames
    )
    place = numbers.index(one.start)
    slider = (
        f'<input type="range" min="0" max="{len(numbers) - 1}" value="{place}" aria-label="slice"> '
        f"<output>slice {one.start + 1}</output> "
    )
    caption = f"<figcaption>{_text(one.title)}<br><span>{_text(one.verdict)}</span></figcaption>"
    return f"<figure>{images}{slider if len(numbers) > 1 else ''}{caption}</figure>"


def _failures(evaluation: Evaluation) -> str:
    """Who was missed, by pseudonym: where to look first."""
    found = sorted((miss for patient in evaluation.per_patient if (miss := _miss(patient))), reverse=True)
    if not found:
        return "<p>None: nobody was called wrong, no region was missed whole.</p>"
    rows = _facts({name: how for _, name, how in found[:MOST_FAILURES]})
    return f"<p>{len(found)} of {evaluation.patients} patients, the worst first.</p>{rows}"


def _miss(patient: ClassifiedPatient | SegmentedPatient) -> tuple[float, str, str] | None:
    """How bad it is, whose, and in words; None where nothing was missed."""
    if isinstance(patient, ClassifiedPatient):
        if (patient.probability >= THRESHOLD) == bool(patient.label):
            return None
        how = f"{'positive' if patient.label else 'negative'}, given {patient.probability:.3f}"
        return abs(patient.probability - patient.label), patient.patient, how
    missed = [region.replace("_", " ") for region, dice in patient.dice.items() if dice == 0]
    return (float(len(missed)), patient.patient, f"nothing right of {', '.join(missed)}") if missed else None


def _training(run: RunFolder) -> str:
    if not run.metrics.is_file():
        return ""
    losses = [loss for line in run.metrics.read_text().splitlines() if (loss := _loss(line)) is not None]
    if not losses:
        return ""
    statement = Statement.from_json(run.statement.read_text())
    spent = None
    if statement.epsilon is not None:
        spent = spent_over_steps(mechanism_runs(Ledger(run.ledger).entries), statement.delta)
    return f'<div class="charts">{training_curve(losses, spent)}</div>'


def _loss(line: str) -> float | None:
    try:
        loss = json.loads(line).get("loss")
    except ValueError:  # the last line of a run that was killed
        return None
    return float(loss) if loss is not None else None


def _about(config: RunConfig, manifest: Manifest, evaluation: Evaluation) -> list[Section]:
    recipe, scrub = config.recipe, manifest.scrub
    removed = sum(scrub.identifiers_removed.values())
    use = INTENDED if evaluation.statement.valid else INSIDE_ONLY
    return [
        ("Data", _facts({
            "images": f"{scrub.images_in} came, {scrub.images_out} stayed, {scrub.quarantined} held back",
            "identifiers removed": f"{removed} in {len(scrub.identifiers_removed)} classes, profile {scrub.profile}",
            "patients": f"{config.patients} trained on, {evaluation.patients} judged ({evaluation.split})",
            "modalities": ", ".join(recipe.data.modalities),
        })),
        ("How it was made", _facts({
            "network": f"{config.model.name}, {config.model.spatial_dims}-D, width {config.model.width}",
            "steps": str(evaluation.statement.steps),
            "noise multiplier": f"{evaluation.statement.noise_multiplier:g}",
            "sample rate": f"{evaluation.statement.sample_rate:g}",
            "clip norm": "none" if evaluation.statement.clip_norm is None else f"{evaluation.statement.clip_norm:g}",
            "trained on": f"{config.device}, engine {config.engine}, dpmed {config.dpmed_version}",
            "judged on": f"{evaluation.device}, Python {platform.python_version()}, torch {torch.__version__}",
        })),
        ("Intended use", _bullets(text.replace("**", "") for text in use)),
        ("Limits", _bullets(LIMITS)),
    ]  # fmt: skip


def _table(table: tables.TextTable) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in table.head)
    rows = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return f'<table class="numbers"><tr>{head}</tr>{rows}</table>'


def _facts(facts: dict[str, str]) -> str:
    rows = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in facts.items())
    return f'<table class="facts">{rows}</table>'


def _bullets(items: Iterable[str]) -> str:
    listed = "".join(f"<li>{_text(item)}</li>" for item in items)
    return f"<ul>{listed}</ul>" if listed else ""


def _text(text: str) -> str:
    return html.escape(text)
