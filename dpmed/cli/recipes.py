"""`dpmed recipes`."""

import typer

recipes = typer.Typer()


@recipes.command("list")
def list_recipes() -> None:
    """Not built yet."""
    raise NotImplementedError
