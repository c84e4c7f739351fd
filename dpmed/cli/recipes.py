"""`dpmed recipes`: the recipes that ship with dpmed, to read and to change."""

import json as jsonlib
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from dpmed.cli.options import Json, Quiet, Verbose
from dpmed.cli.output import Output
from dpmed.core.errors import ConfigError

if TYPE_CHECKING:
    from dpmed.core.recipe import Recipe

Name = Annotated[str, typer.Argument(help="A name from `dpmed recipes`, or a TOML file.")]

recipes = typer.Typer(help="The recipes that ship with dpmed: list them, show one, copy one to change it.")


@recipes.callback(invoke_without_command=True)
def bare(context: typer.Context, json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """The recipes that ship with dpmed: list them, show one, copy one to change it."""
    if context.invoked_subcommand is None:
        list_recipes(json=json, quiet=quiet, verbose=verbose)


@recipes.command("list")
def list_recipes(json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """List the recipes by name."""
    output = Output("recipes", json=json, quiet=quiet, verbose=verbose)
    from dpmed.core.recipe import load_recipe, shipped_recipes

    loaded = [load_recipe(name) for name in shipped_recipes()]
    output.show(_table(loaded))
    payload = {"recipes": [_summary(recipe) for recipe in loaded]}
    output.finish(payload, next_command="dpmed recipes show covid-ct")


@recipes.command("show")
def show(name: Name, json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Print a recipe as TOML: what it sets, and every other key with its default."""
    output = Output("recipes", json=json, quiet=quiet, verbose=verbose)
    from dpmed.core.recipe import load_recipe, recipe_text

    recipe = load_recipe(name)
    output.text(_with_defaults(recipe_text(name), recipe))
    output.finish(
        {"recipe": recipe.model_dump(mode="json")}, next_command=f"dpmed recipes copy {recipe.name} mine.toml"
    )


@recipes.command("copy")
def copy(
    name: Name,
    file: Annotated[Path, typer.Argument(help="The TOML file to write; it must not exist yet.")],
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Copy a recipe to a file of your own."""
    output = Output("recipes", json=json, quiet=quiet, verbose=verbose)
    from dpmed.core.recipe import load_recipe, recipe_text

    recipe = load_recipe(name)
    if file.suffix != ".toml":
        raise ConfigError("a recipe file ends in .toml", hint=f"dpmed recipes copy {recipe.name} mine.toml")
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(_with_defaults(recipe_text(name), recipe))
    except FileExistsError:
        raise ConfigError("the file exists already and is left as it was", hint="choose another name") from None
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError("the folder of the new file does not exist", hint="make the folder first") from None
    output.finish(
        {"recipe": recipe.name, "file": str(file)}, next_command=f"dpmed train {file} --data DIR --run runs/mine"
    )


def _summary(recipe: "Recipe") -> dict[str, Any]:
    return {
        "name": recipe.name,
        "summary": recipe.summary,
        "task": recipe.task,
        "model": recipe.model.name,
        "spatial_dims": recipe.data.spatial_dims,
        "modalities": list(recipe.data.modalities),
        "epsilon": recipe.privacy.epsilon,
        "delta": recipe.privacy.delta,
        "steps": recipe.privacy.steps,
    }


def _table(loaded: list["Recipe"]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for recipe in loaded:
        privacy = f"epsilon {recipe.privacy.epsilon:g} at delta {recipe.privacy.delta:g}, {recipe.privacy.steps} steps"
        details = f"{recipe.model.name}, {recipe.data.spatial_dims}-D, {', '.join(recipe.data.modalities)}; {privacy}"
        table.add_row(f"[bold]{recipe.name}[/bold]", f"{recipe.summary}\n[dim]{details}[/dim]")
    return table


def _with_defaults(text: str, recipe: "Recipe") -> str:
    """The recipe's own text, followed by the keys it leaves at their defaults, as comments."""
    from dpmed.core.recipe import known_keys

    content, record = tomllib.loads(text), recipe.model_dump(mode="json")
    silent = [key for key in known_keys() if _at(content, key) is None and f"# {key} = " not in text]
    lines = [f"# {key} = {_toml(_at(record, key))}\n" for key in silent]
    return text.rstrip() + "\n\n# Left at their defaults:\n" + "".join(lines) if lines else text


def _at(content: dict[str, Any], key: str) -> Any:
    value: Any = content
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _toml(value: Any) -> str:
    """Numbers, words, truth and lists are written the same in TOML and JSON; TOML has no word for nothing."""
    return "(not set)" if value is None else jsonlib.dumps(value)
