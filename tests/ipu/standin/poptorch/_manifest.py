"""What is known of PopTorch 3.4 from its published source; every other name is an error here."""

import ast
import inspect
import json
from pathlib import Path

PATH = Path(__file__).resolve().parents[2] / "poptorch_manifest.json"
MANIFEST = json.loads(PATH.read_text())


class NotSimulated(NotImplementedError):
    """PopTorch has it, this stand-in does not act it out, and nothing may be concluded from a run that needs it."""


def signature(text, bound=True):
    """Turn a signature of the manifest, such as "(lr, momentum=None)", into one that arguments can be held against."""
    tree = ast.parse(f"def f{text}: pass").body[0].args
    named = [item.arg for item in tree.args]
    defaults = [ast.literal_eval(item) for item in tree.defaults]
    first = len(named) - len(defaults)
    kinds = inspect.Parameter
    found = [kinds("self", kinds.POSITIONAL_ONLY)] if bound else []
    for place, name in enumerate(named):
        default = defaults[place - first] if place >= first else kinds.empty
        found.append(kinds(name, kinds.POSITIONAL_OR_KEYWORD, default=default))
    if tree.vararg:
        found.append(kinds(tree.vararg.arg, kinds.VAR_POSITIONAL))
    for item, default in zip(tree.kwonlyargs, tree.kw_defaults):
        found.append(kinds(item.arg, kinds.KEYWORD_ONLY, default=ast.literal_eval(default)))
    if tree.kwarg:
        found.append(kinds(tree.kwarg.arg, kinds.VAR_KEYWORD))
    return inspect.Signature(found)


def methods(name):
    return MANIFEST["classes"][name]["methods"]


def not_simulated(name):
    def refuse(*args, **kwargs):
        raise NotSimulated(f"{name} exists in PopTorch and is not acted out by the stand-in")

    refuse.__name__ = name
    return refuse


def recorder(name, method, text):
    """Make a setting that changes no number: its arguments are checked, kept, and refused once options are frozen."""
    shape = signature(text)

    def keep(*args, **kwargs):
        bound = shape.bind(*args, **kwargs)
        bound.apply_defaults()
        options = bound.arguments["self"]
        options.checkIsFrozen()
        options.recorded()[method] = tuple(list(bound.arguments.values())[1:])
        return options

    keep.__name__ = method
    keep.__qualname__ = f"{name}.{method}"
    keep.__signature__ = shape
    return keep


def complete(name, refused=()):
    """Give a class the rest of the methods that the manifest names: settings recorded, and some refused."""

    def fill(kind):
        for method, text in methods(name).items():
            if method in kind.__dict__:
                continue
            if any(method in base.__dict__ for base in kind.__mro__[1:-1]):
                continue
            made = not_simulated(method) if method in refused else recorder(name, method, text)
            setattr(kind, method, made)
        return kind

    return fill
