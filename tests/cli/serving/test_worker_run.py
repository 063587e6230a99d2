"""worker_run: it runs a worker of the user's module."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aioecs.cli._options import UsageError
from aioecs.cli._serving.worker_run import load_factory

MODULE = """
import os
import aioecs
from aioecs.worker import MemoryLedger, Worker

def to_request(message):
    return aioecs.StartTaskRequest(task_definition="demo", container_instances=[], group=message.body)

async def make_worker(ecs):
    return Worker(ecs, os.environ["QUEUE_URL"], to_request, ledger=MemoryLedger(), long_poll=1, drain=2,
                  sqs_endpoint_url=os.environ["SQS_URL"])

def make_none(ecs):
    return "no worker"

number = 7
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write a module of the user's into the current directory."""
    (tmp_path / "jobs_of_test.py").write_text(MODULE)
    (tmp_path / "broken_of_test.py").write_text("1 / 0")
    (tmp_path / "lacking_of_test.py").write_text("import no_such_module_of_theirs")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield tmp_path
    sys.path[:] = before
    for name in [name for name in sys.modules if name.endswith("_of_test")]:
        del sys.modules[name]


def test_a_function_is_found_in_the_current_directory(module: Path) -> None:
    """Without a package."""
    assert callable(load_factory("jobs_of_test:make_none"))
    with pytest.raises(UsageError):
        load_factory("jobs_of_test:")
