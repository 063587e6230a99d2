"""Every string that a caller can set, with every control character, on both transports: refused, nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from raw_server import Exchange, RawServer

import aioecs
from aioecs import ConfigurationError, StartTaskRequest
from tests.effort import EFFORT

CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
EDGES = ["\0", "\t", "\n", "\r", "\x1f", "\x7f", "\x80", "\x85", "\x9f"]
TRIED = EDGES if EFFORT == 1 else CONTROLS
ALLOWED_IN_ENVIRONMENT = [each for each in TRIED if each != "\0"]  # an environment variable can't have a null
REQUEST = StartTaskRequest(task_definition="demo", container_instances=["0a1b"])
KEYS = {"aws_access_key_id": "AKIALOCAL", "aws_secret_access_key": "hunter2", "aws_session_token": "hunter2"}
LOADER = AioSession().get_component("data_loader")

Setting = Callable[[str, str, Path, pytest.MonkeyPatch], dict[str, Any]]


def argument(name: str) -> Setting:
    def given(bad: str, url: str, path: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
        start = {"endpoint_url": url, "region_name": "us-east-1"}.get(name, "hunter2")
        return {name: f"{start}{bad}X-More: 1"}

    return given


def config(name: str) -> Setting:
    def given(bad: str, url: str, path: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
        return {"config": AioConfig(**{name: f"us-east-1{bad}X-More: 1"}), "region_name": None}

    return given


def environment(name: str) -> Setting:
    def given(bad: str, url: str, path: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
        for key, held in KEYS.items():
            patch.setenv(key.upper(), held)
        start = {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-east-1"}.get(name, "hunter2")
        patch.setenv(name, f"{start}{bad}X-More: 1")
        return {**dict.fromkeys(KEYS), "endpoint_url": None if name == "AWS_ENDPOINT_URL" else url, "region_name": None}

    return given


def session_user_agent(bad: str, url: str, path: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    session: Any = AioSession()
    session.register_component("data_loader", LOADER)
    session.user_agent_extra = f"extra{bad}X-More: 1"
    return {"session": session}


def session_default_config(bad: str, url: str, path: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    session: Any = AioSession()
    session.register_component("data_loader", LOADER)
    session.set_default_client_config(AioConfig(user_agent_extra=f"extra{bad}X-More: 1"))
    return {"session": session}


def header_of_a_handler(bad: str, url: str, path: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    def add(request: Any, **_: Any) -> None:
        request.headers["X-Own"] = f"own{bad}X-More: 1"

    session: Any = AioSession()
    session.register_component("data_loader", LOADER)
    session.register("request-created.ecs", add)
    return {"session": session}


SETTINGS: dict[str, Setting] = {
    **{name: argument(name) for name in (*KEYS, "region_name", "endpoint_url", "profile_name")},
    **{
        f"config {name}": config(name) for name in ("region_name", "user_agent", "user_agent_extra", "user_agent_appid")
    },
    "session's user agent": session_user_agent,
    "session's default config": session_default_config,
    "a handler's header": header_of_a_handler,
}
FROM_ENVIRONMENT: dict[str, Setting] = {
    name: environment(name)
    for name in (
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
        *("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_SDK_UA_APP_ID", "HTTP_PROXY"),
    )
}


def new_session() -> AioSession:
    """Return a session that has read nothing from the environment yet."""
    session = AioSession()
    session.register_component("data_loader", LOADER)
    return session


SHARED = new_session()


async def accept(exchange: Exchange) -> None:
    await exchange.request()
    exchange.answer(200, '{"tasks": [], "failures": []}')


async def assert_refused(setting: Setting, controls: list[str], transport: str, path: Path) -> None:
    async with RawServer(accept) as server:
        for bad in controls:
            with pytest.MonkeyPatch.context() as patch:
                session = new_session() if setting in FROM_ENVIRONMENT.values() else SHARED
                own: dict[str, Any] = {"region_name": "us-east-1", "endpoint_url": server.url, **KEYS}
                own |= {"session": session, "transport": transport} | setting(bad, server.url, path, patch)
                if own.get("profile_name") is not None:
                    del own["session"]
                with pytest.raises(ConfigurationError) as caught:
                    async with aioecs.Client(**own) as client:
                        await client.start_task(REQUEST)
            assert not server.heads, repr(bad)
            text = f"{caught.value} {caught.value!r}"
            assert "hunter2" not in text
            assert bad not in text or bad in "\n\r\t"
        assert server.connections == 0


@pytest.mark.parametrize("transport", ["auto", "botocore"])
@pytest.mark.parametrize("name", SETTINGS)
async def test_settings_in_code(name: str, transport: str, tmp_path: Path) -> None:
    """No control character is accepted in any position, and the error doesn't quote the value."""
    await assert_refused(SETTINGS[name], TRIED, transport, tmp_path)


@pytest.mark.parametrize("transport", ["auto", "botocore"])
@pytest.mark.parametrize("name", FROM_ENVIRONMENT)
async def test_settings_from_the_environment(name: str, transport: str, tmp_path: Path) -> None:
    """The same for what botocore reads from the environment; a setting refused on opening needs no transport."""
    opens = name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    controls = ALLOWED_IN_ENVIRONMENT if opens or transport == "auto" else ["\r", "\n", "\x7f", "\x85"]
    await assert_refused(FROM_ENVIRONMENT[name], controls, transport, tmp_path)
