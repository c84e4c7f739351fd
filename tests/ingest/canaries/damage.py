"""The same set as disks and networks leave it: cut short, with bytes turned."""

import random
from pathlib import Path


def damage(source: Path, target: Path, seed: int) -> None:
    """A copy of a folder in which every file is cut somewhere or has some bytes turned."""
    draw = random.Random(seed)
    for path in sorted(source.rglob("*")):
        if path.is_file():
            content = bytearray(path.read_bytes()[:20_000])
            for _ in range(draw.randrange(12)):
                content[draw.randrange(len(content))] = draw.randrange(256)
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content[: draw.randrange(len(content) // 2, len(content) + 1)])
