"""What the code base promises about itself: small modules, no pickle, no path of one machine, pins for every need."""

import ast
import re
import statistics
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "dpmed").rglob("*.py"))
PICKLING = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines(path: Path) -> int:
    return path.read_text().count("\n")


def calls_and_imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def test_the_median_module_is_under_150_lines():
    assert statistics.median(lines(path) for path in MODULES if path.name != "__init__.py") < 150


def test_no_module_is_past_250_lines():
    assert not [name(path) for path in MODULES if lines(path) > 250]


def test_no_module_reads_or_writes_pickles_or_runs_text():
    forbidden = {"torch.load", "torch.save", "np.load", "np.save", "eval", "exec", *PICKLING}
    assert not [name(path) for path in MODULES if calls_and_imports(path) & forbidden]


def test_no_module_names_a_network_library():
    forbidden = {"socket", "urllib.request", "http.client", "requests", "httpx", "ftplib", "smtplib"}
    assert not [name(path) for path in MODULES if calls_and_imports(path) & forbidden]


def test_no_module_names_a_place_of_one_machine():
    place = re.compile(r"""["'](/(home|root|work|mnt|tmp|Users)/|[A-Z]:\\)""")
    assert not [name(path) for path in MODULES if place.search(path.read_text())]


def test_only_the_ipu_backend_names_poptorch():
    naming = [path for path in MODULES if "poptorch" in path.read_text()]
    assert not [name(path) for path in naming if not path.is_relative_to(ROOT / "dpmed" / "backends" / "ipu")]


def test_every_requirement_has_a_tested_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE))
    tested = {pin.lower().replace("_", "-") for pin in pins}
    assert {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in wanted} <= tested
    assert pins["torch"] == "2.13.0"


def test_the_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
