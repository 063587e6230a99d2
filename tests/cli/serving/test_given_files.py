"""given_files: task definitions and faults from files, and what is wrong in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aioecs.cli._app import run
from aioecs.cli._display.streams import Streams
from aioecs.testing import Fault


def test_faults_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A script of faults reaches the server."""
    seen: list[Any] = []

    async def kept(settings: dict[str, Any], _: Streams, *, as_json: bool) -> int:
        seen.extend(settings["faults"])
        return 0

    monkeypatch.setattr("aioecs.cli._serving.local_server.serve", kept)
    script = tmp_path / "storm.jsonl"
    script.write_text('{"kind": "reset", "when": "after", "times": null}\n')
    assert run(["local", "--faults", str(script)]) == 0
    assert seen == [Fault("reset", when="after", times=None)]


@pytest.mark.parametrize(
    ("text", "message"), [('{"kind": "reset"}\nrubbish', "line 2: not JSON"), (None, "No such file")]
)
def test_bad_faults(text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad file is one line with its name and the place in it, and nothing is served."""
    script = tmp_path / "storm"
    if text is not None:
        script.write_text(text)
    assert run(["local", "--faults", str(script)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"aioecs: --faults: {script}: {message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("{", "Expecting property name"),
        ("[3]", "expected an object, not int"),
        ('{"family": "f"}', "ClientException: Container list cannot be empty"),
        ('{"taskDefinition": 3}', "expected an object, not int"),
    ],
)
def test_bad_definitions(text: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the file, and nothing is served."""
    path = tmp_path / "definition.json"
    if text is not None:
        path.write_text(text)
    assert run(["local", "--task-definition", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"aioecs: --task-definition: {path}: {message}")
