"""`aioecs conformance`: it prepares, asks, runs and reports; Ctrl-C leaves nothing running."""

from __future__ import annotations

import io
import sys

import pytest

from aioecs.cli._app import run
from aioecs.testing import ThreadedECS


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("conformance", "--cluster is missing; or --local"),
        ("conformance --cluster c", "--task-definition is missing; or --local"),
        ("conformance --local --cluster c", "--cluster and --local exclude each other"),
        ("conformance --local --task-definition t", "--task-definition and --local exclude each other"),
        ("conformance --local --instances i1", "--instances and --local exclude each other"),
        ("conformance --local --profile p", "--profile and --local exclude each other"),
        ("conformance --cluster c --task-definition t", "NoRegionError"),
        ("conformance --cluster c --task-definition t --instances ,", "--instances: an instance between two commas"),
        ("conformance --cluster c --task-definition t --profile nobody", "nobody"),
    ],
)
def test_wrong_arguments(args: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and one line."""
    assert run(args.split()) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_without_a_terminal_it_needs_yes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is started."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with ThreadedECS() as local:
        where = ["--endpoint-url", local.endpoint_url, "--region", "us-east-1"]
        assert run(["conformance", "--cluster", "default", "--task-definition", "demo", *where]) == 2
        assert "--yes starts without asking" in capsys.readouterr().err
        assert local.truth.requests["StartTask"] == 0
