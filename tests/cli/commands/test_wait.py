"""`aioecs wait`: its options."""

from __future__ import annotations

from typing import Any

import pytest

from aioecs.cli._app import run
from aioecs.cli._options import Goal


def test_the_options(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What is given is what is waited for."""
    seen: list[Any] = []

    async def run_with_client(_access: object, _streams: object, command: Any) -> int:
        seen.append((command.args[:2], command.keywords))
        return 5

    monkeypatch.setattr("aioecs.cli._read_command.run_with_client", run_with_client)
    assert run(["wait", "a", "b", "a", "--for", "stopped", "--timeout", "3", "--cluster", "c", "--json"]) == 5
    assert run(["wait", "a", "--container", "m"]) == 5
    assert seen == [
        ((["a", "b"], Goal.STOPPED), {"cluster": "c", "timeout": 3.0, "container": None, "as_json": True}),
        ((["a"], Goal.RUNNING), {"cluster": "default", "timeout": None, "container": "m", "as_json": False}),
    ]
    assert run(["wait", "a", "--for", "ever"]) == 2
    assert "'--for'" in capsys.readouterr().err
