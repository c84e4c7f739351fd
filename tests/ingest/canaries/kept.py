"""What a training set lives on, as lists of keywords: see kept.txt."""

from pathlib import Path


def listed(what: str) -> list[str]:
    """The keywords of one paragraph."""
    paragraphs = Path(__file__).with_name("kept.txt").read_text().split("\n\n")
    return next(rest for name, *rest in map(str.split, paragraphs) if name == f"{what}:")
