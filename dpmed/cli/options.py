"""The options that every command takes."""

from typing import Annotated

import typer

_PANEL = "Of every command"

Json = Annotated[
    bool, typer.Option("--json", rich_help_panel=_PANEL, help="Print one JSON object on stdout and nothing else there.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", rich_help_panel=_PANEL, help="Say nothing but errors and the result.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", rich_help_panel=_PANEL, help="Say more about what is being done.")
]
