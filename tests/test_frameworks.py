"""The examples of the page on frameworks: each is imported as a file, and starts each job once."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from threaded_ecs import local_ecs_on_thread

from aioecs.testing import LocalECS

PAGE = Path(__file__).parent.parent / "docs" / "guide" / "frameworks.md"
FILES = dict(re.findall(r'```python title="(\w+)\.py"\n(.*?)```', PAGE.read_text(), re.DOTALL))


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalECS]:
    """Serve a local ECS on a thread, and set the environment that a process has on AWS."""
    with local_ecs_on_thread(instances=2) as local:
        monkeypatch.setenv("AWS_ENDPOINT_URL_ECS", local.endpoint_url)
        for name, value in (("DEFAULT_REGION", "us-east-1"), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b")):
            monkeypatch.setenv(f"AWS_{name}", value)
        yield local


def example(name: str, folder: Path, needs: str | None = None) -> Any:
    """Import an example of the page, as a file of its own; skip where its framework is not installed."""
    if needs is not None:
        pytest.importorskip(needs)
    (folder / f"{name}.py").write_text(FILES[name])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        sys.modules.pop(name, None)
        return importlib.import_module(name)


def started_once(local: LocalECS, first: Any, again: Any) -> None:
    """Check that a job that came twice started one task."""
    assert first == again == [task.arn for task in local.truth.tasks()]
    assert len(first) == 1


async def asgi(app: Any, path: str) -> Any:
    """Send a POST to an ASGI application, and return its JSON."""
    sent: list[Any] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"test")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({**scope, "app": app}, receive, send)
    assert sent[0]["status"] in (200, 201), sent
    body = b"".join(each.get("body", b"") for each in sent[1:])
    return json.loads(body)


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Run an ASGI application's lifespan in a task of its own, as servers do."""
    to_app: asyncio.Queue[Any] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "app": app, "state": {}}
    serving = asyncio.create_task(app(scope, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    started = await from_app.get()
    assert started["type"] == "lifespan.startup.complete", started
    yield
    await to_app.put({"type": "lifespan.shutdown"})
    assert (await from_app.get())["type"] == "lifespan.shutdown.complete"
    await serving


@pytest.mark.parametrize(("name", "needs"), [("fastapi_app", "fastapi"), ("litestar_app", "litestar")])
async def test_an_asgi_application(local: LocalECS, tmp_path: Path, name: str, needs: str) -> None:
    """Its client is opened and closed by the lifespan, and used in the tasks of its requests."""
    app = example(name, tmp_path, needs).app
    async with lifespan(app):
        first, again = [await asyncio.create_task(asgi(app, "/jobs/17")) for _ in range(2)]
        assert repr(app.state.ecs).startswith("<aioecs.Client open")
    assert repr(app.state.ecs) == "<aioecs.Client closed>"
    started_once(local, first, again)


async def test_an_aiohttp_application(local: LocalECS, tmp_path: Path) -> None:
    """By real requests."""
    runner = web.AppRunner(example("aiohttp_app", tmp_path).make_app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/jobs/17"
    async with aiohttp.ClientSession() as session:
        first, again = [await (await session.post(url)).json() for _ in range(2)]
    await runner.cleanup()
    started_once(local, first, again)


def test_a_lambda_function(local: LocalECS, tmp_path: Path) -> None:
    """Its second invocation finds the client open; with no time left nothing is sent."""
    module = example("lambda_function", tmp_path)

    class Context:
        milliseconds = 60_000

        def get_remaining_time_in_millis(self) -> int:
            return self.milliseconds

    first, again = [module.handler({"id": "17"}, Context()) for _ in range(2)]
    started_once(local, first, again)
    late = Context()
    late.milliseconds = 5_000
    with pytest.raises(TimeoutError):
        module.handler({"id": "18"}, late)
    assert len(local.truth.tasks()) == 1
    module.ecs.close()


def test_a_celery_task(local: LocalECS, tmp_path: Path) -> None:
    """Run in place, as a worker process would."""
    module = example("celery_tasks", tmp_path, "celery")
    first, again = [module.start.apply(args=["17"]).get() for _ in range(2)]
    started_once(local, first, again)
    module.ecs.close()


async def test_a_taskiq_task(local: LocalECS, tmp_path: Path) -> None:
    """By the broker in memory, which calls the hooks of a worker."""
    module = example("taskiq_tasks", tmp_path, "taskiq")
    await module.broker.startup()
    results = [await (await module.start.kiq("17")).wait_result(timeout=20) for _ in range(2)]
    await module.broker.shutdown()
    first, again = [result.return_value for result in results]
    started_once(local, first, again)


def test_each_file_of_the_page_is_tested() -> None:
    """The page's notebook cells are run by test_docs.py."""
    tested = Path(__file__).read_text()
    assert [name for name in FILES if f'"{name}"' not in tested] == []
