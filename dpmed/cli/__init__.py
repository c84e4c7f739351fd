"""THE FRONT DOOR: one file per command. The only place that knows typer and rich."""
