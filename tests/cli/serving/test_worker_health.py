"""worker_health: the file says whether the worker runs and is healthy."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from aioecs.cli._app import run
from aioecs.cli._serving.worker_health import STALE_AFTER, why_unhealthy, write_health

# The health file ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "age", "why"),
    [
        ({"healthy": True, "at": 1000.0}, 1.0, None),
        ({"healthy": True, "at": 1000.0}, STALE_AFTER + 1, "it has not reported for 21 s"),
        ({"healthy": False, "at": 1000.0}, 1.0, "its ledger or its queue can't be reached"),
        ({"healthy": "yes", "at": 1000.0}, 1.0, "its ledger or its queue can't be reached"),
        ({"healthy": True}, 1.0, "can't be read: KeyError"),
        ([], 1.0, "can't be read: TypeError"),
    ],
)
def test_the_health_file(held: Any, age: float, why: str | None, tmp_path: Path) -> None:
    """It must say that the worker is healthy, and be new."""
    path = tmp_path / "health.json"
    path.write_text(json.dumps(held))
    found = why_unhealthy(path, 1000.0 + age)
    assert found is None if why is None else found is not None and why in found


def test_a_health_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No worker runs; half of a file is none."""
    path = tmp_path / "health.json"
    assert run(["worker", "--check", "--health-file", str(path)]) == 1
    assert "not healthy: no worker runs that writes" in " ".join(capsys.readouterr().err.split())
    path.write_text('{"healthy": tr')
    assert run(["worker", "--check", "--health-file", str(path)]) == 1
    write_health(path, healthy=True, now=time.time())
    assert run(["worker", "--check", "--health-file", str(path)]) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["health.json"]
