"""`dpmed doctor`: what this machine can do, and what is missing for the rest."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Output
from dpmed.core.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from dpmed.backends.devices import DeviceState
    from dpmed.backends.ipu.levels import Level
    from dpmed.core.machine import Machine, Packages

GIB = 2**30
TOLD = ("python", "dpmed", "torch", "monai", "opacus", "dp_accounting", "pydicom", "nibabel")


def doctor(
    ipu: Annotated[
        bool, typer.Option("--ipu", help="Also let PopTorch compile and train, on its simulator and on a device.")
    ] = False,
    recipe: Annotated[
        str, typer.Option("--recipe", help="With --ipu: do so with this recipe, not with a small network.")
    ] = "",
    ipu_python: Annotated[str, typer.Option("--ipu-python", help="The interpreter that has PopTorch.")] = "",
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> int:
    """What this machine can do, and what is missing for the rest."""
    output = Output("doctor", json=json, quiet=quiet, verbose=verbose)
    if recipe and not ipu:
        raise ConfigError("--recipe says what --ipu compiles", hint="add --ipu")
    from dpmed.core.machine import machine, packages

    found = packages()
    missing = [name for name, version in found.versions.items() if version is None]
    here = machine(Path.cwd())
    devices = {} if "torch" in missing else _devices()
    tried = _levels(ipu_python, recipe) if ipu and not missing else ()
    table = _table(devices, here, found, verbose=verbose)
    for level in tried:
        table.add_row(_mark(level.passed), f"IPU {level.level}", f"{level.where}: {escape(_outcome(level))}")
    output.show(table)
    payload = {
        "devices": {name: state.model_dump() for name, state in devices.items()},
        "versions": found.versions,
        "missing": missing,
        "extras_missing": {name: list(lacks) for name, lacks in found.extras_missing.items()},
        "ipu_levels": [level.model_dump() for level in tried],
        **here.model_dump(),
    }
    cure = "pip install -c constraints.txt -e ." if missing else "dpmed demo"
    output.finish(payload, status="partial" if missing else "ok", next_command=cure)
    if missing:
        return int(ExitCode.USAGE)
    return int(ExitCode.DEVICE if ipu and not any(level.passed for level in tried) else ExitCode.DONE)


def _levels(python: str, name: str) -> "tuple[Level, ...]":
    from dpmed.backends.ipu.levels import SMALL, levels
    from dpmed.core.recipe import load_recipe
    from dpmed.core.specs import HardwareFlags

    if not name:
        return levels(HardwareFlags(ipu_python=python), SMALL)
    from dpmed.engine.ipu_estimate import case_of

    recipe = load_recipe(name)
    flags = recipe.hardware.model_copy(update={"ipu_python": python or recipe.hardware.ipu_python})
    return levels(flags, case_of(recipe))


def _outcome(level: "Level") -> str:
    if not level.passed:
        return f"{level.reason} ({level.hint})" if level.hint else level.reason
    if level.patients_per_second is None:
        return f"fits, compiled in {level.compile_seconds} s; nothing was run"
    return f"passed its self-test, {level.patients_per_second} patients/s"


def _devices() -> dict[str, "DeviceState"]:
    from dpmed.backends.devices import device_states

    return device_states()


def _table(devices: dict[str, "DeviceState"], here: "Machine", found: "Packages", *, verbose: bool) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, state in devices.items():
        table.add_row(_mark(state.available), name, escape(state.reason))
    table.add_row(_mark(True), "cores", f"{here.cores}  [dim]{here.system}[/dim]")
    memory = f"{here.memory_available_bytes / GIB:.1f} of {here.memory_bytes / GIB:.1f} GiB free"
    table.add_row(_mark(here.memory_available_bytes > 2 * GIB), "memory", memory)
    disk = f"{here.disk_free_bytes / GIB:.1f} GiB free in this folder"
    table.add_row(_mark(here.disk_free_bytes > GIB), "disk", disk)
    table.add_row(_mark(True), "entropy", f"{here.entropy}, by the operating system")
    for name, version in found.versions.items():
        if verbose or version is None or name in TOLD:
            table.add_row(_mark(version is not None), name, version or "[red]not installed[/red]")
    for name, lacks in found.extras_missing.items():
        table.add_row(
            _mark(False), f"extra {name}", f'lacks {", ".join(lacks)}: pip install -e "{escape(f".[{name}]")}"'
        )
    return table


def _mark(good: bool) -> str:
    return "[green]✓[/green]" if good else "[yellow]-[/yellow]"
