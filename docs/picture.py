"""Run `dpmed demo` and save what the terminal showed as `docs/demo.svg`: `python docs/picture.py`.

The first task is shown whole; of the second, which looks much the same, only the title and the statement.
"""

import os
import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 108
LIVE_BAR = re.compile(r"\x1b\[\?25l.*?\x1b\[\?25h(\r?\x1b\[[0-9]*[AK])*", re.DOTALL)
SECOND_TASK = re.compile(r"(Where is the brain tumour[^\n]*\n).*?(\n[^\n]*What was promised)", re.DOTALL)
WEB_FONT = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def main() -> None:
    """Write the picture; the numbers in it are of this very run."""
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "dpmed", "demo"]
        shown = subprocess.run(  # noqa: S603
            command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ).stdout.decode()
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    shown = SECOND_TASK.sub(r"\1\n    ... the same four commands ...\n\2", LIVE_BAR.sub("", shown))
    console.print(Text.from_ansi(f"\x1b[1;32m$\x1b[0m \x1b[1mdpmed demo\x1b[0m\n{shown}"))
    picture = WEB_FONT.sub("", console.export_svg(title="dpmed demo", unique_id="demo"))
    Path(__file__).with_name("demo.svg").write_text(picture)


if __name__ == "__main__":
    main()
