"""One self-contained page about a run: the guarantee first, results, curves, cases to scroll through."""
