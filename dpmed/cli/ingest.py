"""`dpmed ingest`: scans in, a scrubbed dataset out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Output
from dpmed.cli.reidentify import lock_of_crosswalk
from dpmed.cli.stopping import stoppable
from dpmed.core.choices import Faces, OutputFormat, Pixels, Task
from dpmed.core.errors import ConfigError, ExitCode, InterruptedRun

if TYPE_CHECKING:
    from dpmed.ingest.request import IngestRequest, IngestResult


def ingest(
    source: Annotated[Path, typer.Argument(help="A DICOM file, folder, DICOMDIR or zip; NIfTI folders; image slices.")],
    out: Annotated[Path, typer.Option("--out", help="The dataset folder to make.")],
    labels: Annotated[
        Path | None, typer.Option("--labels", help="CSV with image or case, patient, label, split.")
    ] = None,
    task: Annotated[
        Task | None, typer.Option("--task", help="What the dataset is for, if the input leaves it open.")
    ] = None,
    label_scheme: Annotated[
        str | None,
        typer.Option("--label-scheme", help="What mask values mean: brats, brats2013, binary or a TOML file."),
    ] = None,
    output_format: Annotated[
        OutputFormat, typer.Option("--format", help="nifti, to train on; dicom, to hand on.")
    ] = "nifti",
    key: Annotated[
        Path | None, typer.Option("--key", help="Key of the pseudonyms; made on first use. Default: beside --out.")
    ] = None,
    profile: Annotated[
        str, typer.Option("--profile", help="basic, training, research-longitudinal or a TOML file.")
    ] = "training",
    pixels: Annotated[
        Pixels,
        typer.Option("--pixels", help="Text burned in: hold the picture back (gate), paint it over (redact), ignore."),
    ] = "gate",
    faces: Annotated[
        Faces,
        typer.Option("--faces", help="A face in a volume: hold the case back (gate), take it away (remove), ignore."),
    ] = "gate",
    k_anonymity: Annotated[
        int | None,
        typer.Option(
            "--k-anonymity", min=2, help="Coarsen sex, age, scanner in the manifest until K patients share each."
        ),
    ] = None,
    crosswalk: Annotated[
        Path | None,
        typer.Option("--crosswalk", help="Also write the table from pseudonyms to originals, encrypted, to this file."),
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Search all output for every original identifier.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes. Default: by the size of the input.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted ingest.")] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the split into train, val and test.")] = 0,
    lifetime_epsilon: Annotated[
        float | None, typer.Option("--lifetime-epsilon", help="All runs on this dataset together may spend this much.")
    ] = None,
    lifetime_delta: Annotated[
        float | None, typer.Option("--lifetime-delta", help="The delta that goes with --lifetime-epsilon.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Turn scans into a scrubbed dataset: images, masks or labels, a manifest and a report of what was removed."""
    output = Output("ingest", json=json, quiet=quiet, verbose=verbose)
    _require_pair(lifetime_epsilon, lifetime_delta)
    if k_anonymity is not None and output_format == "dicom":
        raise ConfigError(
            "--k-anonymity coarsens the manifest, and DICOM objects carry sex and age themselves",
            hint="use --format nifti, or a profile that keeps less, such as --profile basic",
        )
    from dpmed.core.labels import label_scheme as scheme_of
    from dpmed.ingest.request import IngestRequest

    request = IngestRequest(
        source=source,
        out=out,
        labels=labels,
        task=task,
        label_scheme=scheme_of(label_scheme) if label_scheme else None,
        key=key,
        workers=workers,
        dry_run=dry_run,
        resume=resume,
        verify=verify,
        seed=seed,
        profile=profile,
        format=output_format,
        pixels=pixels,
        faces=faces,
        k_anonymity=k_anonymity,
        crosswalk=crosswalk,
        lock=lock_of_crosswalk(confirm=True) if crosswalk and not dry_run else None,
    )
    result = _run(request, output)
    if lifetime_epsilon is not None and lifetime_delta is not None and not dry_run:
        _limit(out, lifetime_epsilon, lifetime_delta)
    _render(result, output)
    if not result.is_complete:
        raise typer.Exit(int(ExitCode.PARTIAL))


def _require_pair(epsilon: float | None, delta: float | None) -> None:
    if (epsilon is None) != (delta is None):
        raise ConfigError(
            "a lifetime budget is an epsilon and a delta", hint="give both --lifetime-epsilon and --lifetime-delta"
        )
    if epsilon is not None and delta is not None and not (epsilon > 0 and 0 < delta < 1):
        raise ConfigError(
            "a lifetime budget needs epsilon above 0 and delta between 0 and 1", hint="for example 8, 1e-5"
        )


def _run(request: "IngestRequest", output: Output) -> "IngestResult":
    from dpmed.core.events import Note, Progress
    from dpmed.ingest.request import IngestDone
    from dpmed.ingest.run import ingest

    try:
        with stoppable(), output.progress() as meter:
            for event in ingest(request):
                if isinstance(event, Progress):
                    meter.update(event)
                elif isinstance(event, Note):
                    output.say(event.text)
                elif isinstance(event, IngestDone):
                    return event.result
    except KeyboardInterrupt:
        raise InterruptedRun(
            "interrupted; what is finished is kept", hint="go on with the same command and --resume"
        ) from None
    raise AssertionError("an ingest ends with IngestDone")


def _limit(out: Path, epsilon: float, delta: float) -> None:
    from dpmed.core.folders import DatasetFolder
    from dpmed.privacy.budget import Budget

    Budget(DatasetFolder(out)).set_limit(epsilon, delta)


def _render(result: "IngestResult", output: Output) -> None:
    output.show(_table(result))
    status = "ok" if result.is_complete else "partial"
    if not result.is_complete:
        output.say("some input was not used: see scrub-report.html for each file and its reason")
    output.finish(_payload(result), status=status, next_command=_next(result))


def _next(result: "IngestResult") -> str:
    if result.dry_run or result.task is None:
        return ""
    return f"dpmed train {_recipe(result)} --data {escape(str(result.out))} --run runs/first"


def _recipe(result: "IngestResult") -> str:
    """The recipe of the task, or its tiny twin where there are too few patients to train on for a batch of it."""
    from dpmed.core.recipe import load_recipe

    full, tiny = ("covid-ct", "covid-ct-tiny") if result.task == "covid-ct" else ("brats-unet", "brats-tiny")
    return full if load_recipe(full).privacy.expected_batch_size <= result.splits.get("train", 0) else tiny


def _payload(result: "IngestResult") -> Mapping[str, Any]:
    return {
        "task": result.task,
        "kind": result.kind,
        "patients": result.patients,
        "cases": result.cases,
        "images_in": result.images_in,
        "images_out": result.images_out,
        "duplicates": result.duplicates,
        "quarantined": result.quarantined,
        "quarantined_by_reason": result.quarantined_by_reason,
        "identifiers_removed": result.identifiers_removed,
        "labels_unmatched": result.labels_unmatched,
        "splits": result.splits,
        "modalities": result.modalities,
        "seconds": result.seconds,
        "verified": result.verified,
        "dry_run": result.dry_run,
        "manifest": str(result.out / "manifest.json"),
    }


def _table(result: "IngestResult") -> Table:
    table = Table.grid(padding=(0, 2))
    title = "would be made" if result.dry_run else "made"
    table.add_row("[bold]dataset[/bold]", f"{escape(str(result.out))} ({title} from {result.kind}{_purpose(result)})")
    table.add_row("patients", f"{result.patients}  {_counts(result.splits)}")
    table.add_row("cases", f"{result.cases}  {_counts(result.modalities)}")
    duplicates = f", {result.duplicates} duplicates dropped" if result.duplicates else ""
    table.add_row("images", f"{result.images_in} in, {result.images_out} out{duplicates}")
    table.add_row("held back", str(result.quarantined))
    for reason, count in result.quarantined_by_reason.items():
        table.add_row("", f"{count} {reason}")
    if result.labels_unmatched:
        table.add_row("labels unused", f"{result.labels_unmatched} rows name nothing in the source")
    table.add_row("identifiers removed", str(sum(result.identifiers_removed.values())))
    for name, count in result.identifiers_removed.items():
        table.add_row("", f"{count} {name}")
    if result.verified:
        table.add_row("verified", "no original identifier in any byte written")
    table.add_row("seconds", f"{result.seconds:.1f}")
    return table


def _purpose(result: "IngestResult") -> str:
    return f", for {result.task}" if result.task else ""


def _counts(counts: Mapping[str, int]) -> str:
    return f"[dim]({', '.join(f'{name} {count}' for name, count in counts.items())})[/dim]" if counts else ""
