"""Exit codes are public: scripts depend on them."""

import pytest

from dpmed.core import errors
from dpmed.core.errors import DpmedError, ExitCode


def test_the_exit_codes_are_those_of_the_contract():
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0,
        "BUG": 1,
        "USAGE": 2,
        "NO_INPUT": 3,
        "PARTIAL": 4,
        "IDENTIFIERS": 5,
        "BUDGET": 6,
        "DEVICE": 7,
        "MISMATCH": 8,
        "INTERRUPTED": 130,
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("ConfigError", 2),
        ("NoInputError", 3),
        ("IdentifierError", 5),
        ("BudgetError", 6),
        ("DeviceError", 7),
        ("MismatchError", 8),
        ("InterruptedRun", 130),
    ],
)
def test_each_expected_failure_earns_its_code(error, code):
    failure = getattr(errors, error)("what happened", hint="what to do")
    assert isinstance(failure, DpmedError)
    assert (int(failure.exit_code), failure.message, failure.hint) == (code, "what happened", "what to do")
