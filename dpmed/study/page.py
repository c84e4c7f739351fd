"""The page of one or more studies, in Markdown: all of it is made of their `study.json`."""

from collections.abc import Sequence
from pathlib import Path

from dpmed.core.errors import NoInputError
from dpmed.core.files import write_atomic
from dpmed.evaluate.tables import TextTable
from dpmed.study import words
from dpmed.study.cells import StudyFolder
from dpmed.study.charts import FRONTIER, GAINS, gains, write_charts
from dpmed.study.result import StudyResult
from dpmed.study.tables import frontier_table, gains_table, other_table, privacy_words, variants_table


def write_page(folders: Sequence[Path], page: Path) -> tuple[str, ...]:
    """Write the page, and its pictures beside it; returns their names.

    Raises `NoInputError` for a folder without results, `MismatchError` for results of another version.
    """
    results = [_result(folder) for folder in folders]
    pictures = {one.name: write_charts(one, page.parent, prefix=f"{page.stem}-{one.name}-") for one in results}
    parts = [words.HEAD, *(_study(result, pictures[result.name]) for result in results)]
    parts.append(words.again(results, page.name))
    write_atomic(page, "\n".join(parts))
    return tuple(name for names in pictures.values() for name in names)


def _result(folder: Path) -> StudyResult:
    try:
        return StudyResult.from_json(StudyFolder(folder).result.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise NoInputError(
            f"{folder.name} holds no study.json", hint="first: dpmed study run STUDY.toml --data DIR --out OUT"
        ) from None


def _study(result: StudyResult, pictures: Sequence[str]) -> str:
    parts = [f"## {result.title}\n", *words.about(result)]
    if (table := frontier_table(result)).rows:
        parts += ["### What privacy costs\n", *_picture(pictures, FRONTIER, table.title), _markdown(table)]
        parts.append(words.UNDER_FRONTIER)
    if rows := gains(result):
        table = gains_table(result)
        parts += [f"### What helped {privacy_words(rows[0].epsilon)}, and what did not\n"]
        parts += [*_picture(pictures, GAINS, table.title), _markdown(table), words.under_gains(result)]
    if (table := other_table(result)).rows:
        parts += ["### Other rows\n", _markdown(table)]
    parts += ["### The variants\n", _markdown(variants_table(result)), *words.effort(result)]
    return "\n".join(parts)


def _picture(pictures: Sequence[str], kind: str, title: str) -> list[str]:
    return [f"![{title}]({name})\n" for name in pictures if name.endswith(kind)]


def _markdown(table: TextTable) -> str:
    """The first column names a row, the others are numbers or remarks."""
    head = [table.head, ("---", *(":--" if not name else "--:" for name in table.head[1:]))]
    lines = [f"| {' | '.join(_safe(cell) for cell in row)} |" for row in (*head, *table.rows)]
    return "\n".join(lines) + "\n"


def _safe(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
