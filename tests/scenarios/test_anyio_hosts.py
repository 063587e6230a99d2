"""Clients under each way in which anyio runs a loop, in new processes, with and without sniffio.

sniffio records the running loop in a context variable; a thread that inherits the variable is taken for a loop's.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

STARTS = """
import builtins, sys
{sniffio}
import anyio, anyio.from_thread
import aioecs, aioecs.sync
from aioecs.testing import LocalECS

def request(local):
    return aioecs.StartTaskRequest(task_definition="demo", container_instances=local.instance_arns[:1])

async def start():
    async with LocalECS() as local, aioecs.Client(**local.client_kwargs()) as ecs:
        assert len((await ecs.start_task(request(local))).tasks) == 1
"""

RUNS = """
def run_all():
    anyio.run(start)

    # As Starlette's TestClient runs an application and its lifespan.
    with anyio.from_thread.start_blocking_portal() as portal:
        portal.call(start)

    # A notebook's kernel runs its cells on its own loop.
    builtins.get_ipython = object
    async def cell():
        async with LocalECS() as local:
            with aioecs.sync.Client(**local.client_kwargs()) as ecs:
                pass
    anyio.run(cell)
    del builtins.get_ipython

# As pytest's plugin of anyio runs a test.
import pytest
@pytest.mark.anyio
async def test_start(): await start()

class Plugin:
    @pytest.fixture
    def anyio_backend(self): return "asyncio"

if __name__ == "__main__":
    run_all()
    options = ["-q", "-p", "no:asyncio", "-p", "no:cacheprovider", "-c", "/dev/null", __file__]
    sys.exit(pytest.main(options, [Plugin()]))
"""


@pytest.mark.parametrize("sniffio", ["import sniffio", "sys.modules['sniffio'] = None"], ids=["sniffio", "no-sniffio"])
def test_a_client_opens(sniffio: str, tmp_path: Path) -> None:
    """However the loop was started."""
    script = tmp_path / "test_it.py"
    script.write_text(STARTS.format(sniffio=sniffio) + RUNS)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_trio_is_refused(tmp_path: Path) -> None:
    """Without an asyncio loop the error says so; the classifiers of the package name only asyncio."""
    script = """
import aioecs
opening = aioecs.Client(region_name="eu-west-1").__aenter__()
try:
    opening.send(None)
except aioecs.ClientStateError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert "aioecs runs on asyncio only, not on trio" in done.stdout
    classifiers = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert "Framework :: AsyncIO" in classifiers
    assert "Framework :: AnyIO" not in classifiers
