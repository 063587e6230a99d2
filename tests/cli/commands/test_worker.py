"""`aioecs worker`: it runs a worker of the user's module, and checks that one is healthy."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from moto_queue import moto_server, queue_setup

from aioecs.cli._app import run
from aioecs.cli._serving.worker_health import why_unhealthy


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "give MODULE:NAME, or --check"),
        (["jobs_of_test:make_worker", "--check"], "not both"),
        (["jobs_of_test"], "jobs_of_test: give MODULE:NAME"),
        ([":make_worker"], "give MODULE:NAME"),
        (["no_such_module_of_test:make_worker"], "there is no module no_such_module_of_test"),
        (["jobs_of_test.inner:make_worker"], "there is no module jobs_of_test.inner"),
        (["jobs_of_test:nothing"], "jobs_of_test has no function nothing"),
        (["jobs_of_test:number"], "jobs_of_test has no function number"),
        (["jobs_of_test:make_none", "--region", "us-east-1"], "returned a str, not an aioecs.worker.Worker"),
    ],
)
def test_what_can_t_be_run(
    args: list[str], message: str, module: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a wrong use, and says how it is used."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    assert run(["worker", *args]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(("name", "error"), [("broken_of_test", "ZeroDivisionError"), ("lacking_of_test", "no_such")])
def test_a_module_that_fails_shows_its_traceback(
    name: str, error: str, module: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the user's, so that they can repair it."""
    assert run(["worker", f"{name}:make_worker"]) == 2
    err = capsys.readouterr().err
    assert (f"{name}.py" in err, error in err) == (True, True)


# A process ------------------------------------------------------------------------------------------------------------


async def test_it_runs_until_sigterm(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts what is in the queue, is healthy meanwhile, and prints its counts at the end."""
    health = module / "health.json"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with moto_server() as url:
        async with queue_setup(url) as setup:
            await setup.send("a", "b")
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "aioecs", "worker", "jobs_of_test:make_worker", "--json"),
                *("--health-file", str(health), "--endpoint-url", setup.local.endpoint_url, "--region", "us-east-1"),
                env={**os.environ, "QUEUE_URL": setup.queue, "SQS_URL": url},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                async with asyncio.timeout(180):  # a process takes long to start on a busy machine
                    while await setup.count() != (0, 0) or why_unhealthy(health, time.time()) is not None:
                        assert process.returncode is None
                        await asyncio.sleep(0.1)
                    process.send_signal(signal.SIGTERM)
                    out, err = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
            assert (process.returncode, len(setup.local.truth.running())) == (0, 2), err.decode()
    counts = json.loads(out)
    assert (counts["started"], counts["deleted"], counts["left"]) == (2, 2, [])
    assert "INFO worker of " in err.decode()
    assert not health.exists()
