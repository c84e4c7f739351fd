"""`dpmed bench`: measures what it says, on work that is really done."""

import json

from dpmed.cli.main import main
from dpmed.core.errors import ExitCode


def test_bench_ingest_measures_dpmed_on_files_it_wrote(capsys):
    assert main(["bench", "ingest", "--slices", "3", "--rounds", "1", "--json"]) == ExitCode.DONE
    first, *others = json.loads(capsys.readouterr().out)["rows"]
    assert (first["tool"], first["files"], first["dpmed_is_faster_by"]) == ("dpmed", 3, 1.0)
    assert first["files_per_second"] > 0
    assert all(row["files"] == 3 for row in others)


def test_bench_engine_times_each_way_whose_sums_agree(capsys, tmp_path, monkeypatch):
    from dpmed.backends import bench

    small = bench.Case(bench.CASES["unet-2d"].model.model_copy(update={"width": 8}), bench.TUMOUR, (32, 32), (2, 3))
    wrong = {"Opacus hooks": lambda model, *_: lambda: {name: 2 * w for name, w in model.named_parameters()}}
    monkeypatch.setattr(bench, "CASES", {"unet-2d": small})
    monkeypatch.setattr(bench, "PEERS", bench.PEERS | wrong)
    chart = tmp_path / "cost.png"
    assert main(["bench", "engine", "--rounds", "1", "--plot", str(chart), "--json"]) == ExitCode.DONE
    said = capsys.readouterr()
    rows = json.loads(said.out)["rows"]
    ways = ["ordinary PyTorch", "nano", "vmap", "fused", "Opacus ghost clipping"]
    assert [(row["batch"], row["way"]) for row in rows] == [(size, way) for size in (2, 3) for way in ways]
    assert all(row["ratio"] == 1 for row in rows if row["way"] == "ordinary PyTorch")
    assert "Opacus hooks gives other sums" in said.err and chart.read_bytes().startswith(b"\x89PNG")


def test_bench_of_an_unknown_case_names_the_known_ones(capsys):
    assert main(["bench", "engine", "vit"]) == ExitCode.USAGE
    assert "unet-3d" in capsys.readouterr().err


def test_bench_alone_says_what_there_is_to_measure(capsys):
    assert main(["bench"]) == ExitCode.DONE
    assert "ingest" in capsys.readouterr().out


def test_bench_of_a_missing_source_ends_in_a_hint(tmp_path, capsys):
    assert main(["bench", "ingest", str(tmp_path / "none")]) == ExitCode.NO_INPUT
    assert "hint: " in capsys.readouterr().err
