"""`dpmed bench ingest`: measures what it says, on files it really writes."""

import json

from dpmed.cli.main import main
from dpmed.core.errors import ExitCode


def test_bench_ingest_measures_dpmed_on_files_it_wrote(capsys):
    assert main(["bench", "ingest", "--slices", "3", "--rounds", "1", "--json"]) == ExitCode.DONE
    first, *others = json.loads(capsys.readouterr().out)["rows"]
    assert (first["tool"], first["files"], first["dpmed_is_faster_by"]) == ("dpmed", 3, 1.0)
    assert first["files_per_second"] > 0
    assert all(row["files"] == 3 for row in others)


def test_bench_alone_says_what_there_is_to_measure(capsys):
    assert main(["bench"]) == ExitCode.DONE
    assert "ingest" in capsys.readouterr().out


def test_bench_of_a_missing_source_ends_in_a_hint(tmp_path, capsys):
    assert main(["bench", "ingest", str(tmp_path / "none")]) == ExitCode.NO_INPUT
    assert "hint: " in capsys.readouterr().err
