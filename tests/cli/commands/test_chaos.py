"""`aioecs chaos`: a fault proxy until it is interrupted, then what really happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioecs.cli._app import run


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("chaos", "--upstream is missing: the URL of an endpoint of ECS"),
        ("chaos --upstream http://x --faults {file}", "line 1: not JSON"),
        ("chaos --upstream http://x --faults /none", "--faults: /none: No such file"),
        ("chaos --upstream http://x --ca-bundle {file}", "has no certificates"),
        ("chaos --upstream http://x --sign nobody", "'--sign'"),
    ],
)
def test_wrong_arguments(args: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and one line."""
    file = tmp_path / "rubbish"
    file.write_text("rubbish\n")
    assert run(args.format(file=file).split()) == 2
    assert message in capsys.readouterr().err
