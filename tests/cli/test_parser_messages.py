"""What is said of values that an option doesn't take."""

from __future__ import annotations

import pytest

from aioecs.cli._app import run
from aioecs.cli._parser_messages import plain_message


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("start --local --count many", "'--count': expected a whole number (see"),
        ("start --local --count 1e3", "'--count': expected a whole number (see"),
        ("start --local --count 0", "'--count': expected 1 or more (see"),
        ("start --local --count 9999999999999999999", "'--count': expected 1000000000 or less (see"),
        ("start --local --wait-for-capacity soon", "'--wait-for-capacity': expected a number (see"),
        ("local --port 70000", "'--port': expected 65535 or less (see"),
        ("start --local --on-cancel maybe", "'--on-cancel': 'maybe' is not one of 'stop', 'keep', 'abandon' (see"),
        ("nope", "No such command 'nope' (see"),
    ],
)
def test_plain_messages(args: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The option, and what it takes; nothing of the libraries that read it."""
    assert run(args.split()) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Input" not in error
    assert "alue error" not in error


def test_what_is_not_known() -> None:
    """Another message of that kind loses its beginning; any other stays as it is."""
    assert plain_message("x: Input should be a blue moon.") == "x: expected a blue moon"
    assert plain_message("Unable to parse input string as an integer, exceeded 4300 digits") == (
        "expected a shorter whole number"
    )
    assert plain_message("No such option: --x") == "No such option: --x"
