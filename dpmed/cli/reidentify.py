"""`dpmed reidentify`: from pseudonyms back to patients, for whoever may, with the crosswalk and its passphrase."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Output
from dpmed.core.errors import NoInputError

if TYPE_CHECKING:
    from dpmed.ingest.crosswalk import Lock


def reidentify(
    crosswalk: Annotated[Path, typer.Argument(help="The file that dpmed ingest --crosswalk wrote.")],
    pseudonyms: Annotated[list[str] | None, typer.Argument(help="Which patients, p-... . Default: all.")] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Say which patient a pseudonym was. Asks for the passphrase, or takes it from DPMED_CROSSWALK_PASSPHRASE."""
    output = Output("reidentify", json=json, quiet=quiet, verbose=verbose)
    from dpmed.ingest.crosswalk import read_crosswalk

    entries = read_crosswalk(crosswalk, lock_of_crosswalk(confirm=False))
    wanted = set(pseudonyms or ())
    found = [entry for entry in entries if not wanted or entry.pseudonym in wanted]
    if len(found) < len(wanted):
        raise NoInputError(
            f"{len(wanted) - len(found)} pseudonyms are not in this crosswalk", hint="they are written p- and 12 digits"
        )
    table = Table("pseudonym", "patient", "issuer", "dates lie earlier by, days")
    for entry in found:
        shift = "" if entry.shift_days is None else str(entry.shift_days)
        table.add_row(entry.pseudonym, entry.patient, entry.issuer, shift)
    output.show(table)
    output.finish({"patients": [entry.model_dump() for entry in found]})


def lock_of_crosswalk(*, confirm: bool) -> "Lock":
    """From the environment or the terminal; never from the command line, which other users can list."""
    from dpmed.ingest.crosswalk import passphrase_from

    def ask() -> str:
        return str(typer.prompt("Passphrase of the crosswalk", hide_input=True, confirmation_prompt=confirm, err=True))

    return passphrase_from(os.environ, ask)
