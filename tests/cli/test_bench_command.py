"""`dpmed bench`: measures what it says, on work that is really done."""

import dataclasses
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
    from dpmed.backends import bench, bench_cases

    small = dataclasses.replace(bench_cases.NETWORKS["unet-2d"], size=(32, 32))
    wrong = {"Opacus hooks": lambda model, *_: lambda: {name: 2 * w for name, w in model.named_parameters()}}
    monkeypatch.setattr(bench_cases, "NETWORKS", {"unet-2d": small})
    monkeypatch.setattr(bench, "PEERS", bench.PEERS | wrong)
    chart = tmp_path / "cost.png"
    command = ["bench", "engine", "unet-2d", "covid-ct-tiny", "--batch", "2", "--batch", "3", "--rounds", "1"]
    assert main([*command, "--plot", str(chart), "--json"]) == ExitCode.DONE
    said = capsys.readouterr()
    rows = json.loads(said.out)["rows"]
    own = ["ordinary PyTorch", "nano", "vmap", "fused"]
    expected = [("unet-2d", size, way) for size in (2, 3) for way in (*own, "Opacus ghost clipping")]
    expected += [("covid-ct-tiny", size, way) for size in (2, 3) for way in own]
    assert [(row["model"], row["batch"], row["engine"]) for row in rows] == expected
    assert all(row["ratio_to_nonprivate"] == 1 for row in rows if row["engine"] == "ordinary PyTorch")
    assert {row["images_per_patient"] for row in rows if row["model"] == "covid-ct-tiny"} == {2}
    assert all(row["seconds_median"] > 0 and row["peak_memory_bytes"] != 0 for row in rows)
    assert "Opacus hooks gives other sums" in said.err and chart.read_bytes().startswith(b"\x89PNG")


def test_bench_noise_draws_from_each_generator(capsys):
    assert main(["bench", "noise", "--values", "1000", "--rounds", "1", "--json"]) == ExitCode.DONE
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["secure"] for row in rows] == [True, False, False]
    assert all(row["values"] == 1000 and row["seconds_median"] > 0 for row in rows)


def test_bench_of_an_unknown_case_names_the_known_ones(capsys):
    assert main(["bench", "engine", "vit"]) == ExitCode.USAGE
    assert "unet-3d" in capsys.readouterr().err


def test_bench_alone_says_what_there_is_to_measure(capsys):
    assert main(["bench"]) == ExitCode.DONE
    assert "ingest" in capsys.readouterr().out


def test_bench_of_a_missing_source_ends_in_a_hint(tmp_path, capsys):
    assert main(["bench", "ingest", str(tmp_path / "none")]) == ExitCode.NO_INPUT
    assert "hint: " in capsys.readouterr().err
