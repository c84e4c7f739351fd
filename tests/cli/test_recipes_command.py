"""`dpmed recipes`: what ships can be listed, read, copied, changed and trained with."""

import json

import pytest

from dpmed.cli.main import main
from dpmed.core.errors import ExitCode
from dpmed.core.recipe import known_keys, load_recipe, shipped_recipes


@pytest.mark.parametrize("words", [["recipes"], ["recipes", "list"]], ids=" ".join)
def test_bare_and_list_name_every_recipe(capfd, words):
    assert main(words) == ExitCode.DONE
    shown, _ = capfd.readouterr()
    assert all(name in shown for name in shipped_recipes())


@pytest.mark.parametrize("words", [["recipes", "--json"], ["recipes", "list", "--json"]], ids=" ".join)
def test_json_lists_them(capfd, words):
    assert main(words) == ExitCode.DONE
    answer = json.loads(capfd.readouterr().out)
    assert (answer["schema"], answer["status"]) == ("dpmed.recipes/1", "ok")
    assert tuple(recipe["name"] for recipe in answer["recipes"]) == shipped_recipes()


@pytest.mark.parametrize("name", shipped_recipes())
def test_what_show_prints_is_the_recipe_with_every_key(capfd, tmp_path, name):
    assert main(["recipes", "show", name]) == ExitCode.DONE
    text = capfd.readouterr().out
    (tmp_path / "same.toml").write_text(text)
    assert load_recipe(str(tmp_path / "same.toml")) == load_recipe(name)
    for key in known_keys():
        assert f"\n{key.rpartition('.')[2]} = " in f"\n{text}" or f"# {key} = " in text, key


def test_show_as_json_is_the_whole_record(capfd):
    assert main(["recipes", "show", "covid-ct", "--json"]) == ExitCode.DONE
    assert json.loads(capfd.readouterr().out)["recipe"] == load_recipe("covid-ct").model_dump(mode="json")


def test_a_copy_can_be_loaded_and_is_the_same_recipe(capfd, tmp_path):
    mine = tmp_path / "mine.toml"
    assert main(["recipes", "copy", "covid-ct", str(mine)]) == ExitCode.DONE
    assert load_recipe(str(mine)) == load_recipe("covid-ct")
    assert f"dpmed train {mine}" in capfd.readouterr().err


def test_a_copy_of_a_copy_is_the_same_recipe(tmp_path):
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    assert main(["recipes", "copy", "covid-ct", str(first)]) == ExitCode.DONE
    assert main(["recipes", "copy", str(first), str(second)]) == ExitCode.DONE
    assert second.read_text() == first.read_text()


@pytest.mark.parametrize(
    ("name", "file", "cause"),
    [
        ("covid-ct", "there.toml", "exists already"),
        ("covid-ct", "mine.txt", "ends in .toml"),
        ("covid-ct", "nowhere/mine.toml", "does not exist"),
        ("covid", "mine.toml", "did you mean"),
    ],
)
def test_a_copy_that_cannot_be_made_leaves_everything_as_it_was(capfd, tmp_path, monkeypatch, name, file, cause):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.toml").write_text("precious")
    assert main(["recipes", "copy", name, file]) == ExitCode.USAGE
    assert cause in capfd.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]
