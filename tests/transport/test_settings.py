"""settings: what can be found wrong with settings without asking anybody, and how large the pool is."""

from __future__ import annotations

import sys
from typing import Any

import boto3
import botocore.session
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.httpxsession import HttpxSession
from aiobotocore.session import AioSession
from botocore.config import Config

from aioecs._model.options import Timeouts
from aioecs._transport.settings import Settings
from aioecs.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"session": AioSession, "profile_name": "other"},
            "profile_name goes with a session of the client's own: give it to your session",
        ),
        ({"session": boto3.Session}, "session is an aiobotocore AioSession, not a boto3.session.Session"),
        ({"session": botocore.session.Session}, "session is an aiobotocore AioSession, not a botocore.session.Session"),
        ({"session": "default"}, "session is an aiobotocore AioSession, not a builtins.str"),
        ({"config": {"retries": 1}}, "config is an aiobotocore AioConfig, not a builtins.dict"),
        (
            {"config": AioConfig(max_pool_connections=0)},
            "config.max_pool_connections is a whole number, 1 or more, not 0",
        ),
        (
            {"config": AioConfig(max_pool_connections="7")},
            "config.max_pool_connections is a whole number, 1 or more, not '7'",
        ),
    ],
)
def test_settings_that_can_t_be(given: dict[str, Any], text: str) -> None:
    """What contradicts itself, or is of another kind, is refused when they are made."""
    made = {name: value() if isinstance(value, type) else value for name, value in given.items()}
    with pytest.raises(ConfigurationError) as caught:
        Settings(region_name="eu-west-1", **made)
    assert str(caught.value) == text


@pytest.mark.parametrize("given", [HttpxSession, "AIOHTTPSession"])
def test_another_http_session(given: Any) -> None:
    """Only where the body is seen being written can it be told whether a request was sent."""
    config = AioConfig()
    config.http_session_cls = given
    with pytest.raises(ConfigurationError, match="http_session_cls must be aiobotocore's AIOHTTPSession"):
        Settings(region_name="eu-west-1", config=config)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"profile_name": "other"},
        {"session": AioSession()},
        {"session": type("Own", (AioSession,), {})()},
        {"config": Config()},
        {"config": AioConfig(http_session_cls=type("Own", (AIOHTTPSession,), {}))},
    ],
    ids=["nothing", "a profile", "a session", "a session enlarged", "botocore's config", "an HTTP session enlarged"],
)
def test_settings_that_can_be(given: dict[str, Any]) -> None:
    """They are kept as they were given; the clocks have their defaults."""
    settings = Settings(**given)
    assert {name: getattr(settings, name) for name in given} == given
    assert (settings.timeouts, settings.transport, settings.pool_size) == (Timeouts(), "auto", 50)


@pytest.mark.parametrize(
    ("given", "in_flight", "pool_size"),
    [(None, 50, 50), (None, 200, 200), (7, 50, 7), (100, 50, 100), (10, 50, 50)],
    ids=["by default", "as many as in flight", "a smaller pool", "a larger pool", "botocore's default"],
)
def test_the_pool(given: int | None, in_flight: int, pool_size: int) -> None:
    """It holds what may be in flight, unless the config says otherwise; botocore's default says nothing."""
    config = AioConfig() if given is None else AioConfig(max_pool_connections=given)
    for each in (config, None) if given is None else (config,):
        assert Settings(region_name="eu-west-1", config=each, max_in_flight=in_flight).pool_size == pool_size


def test_without_anything_of_aiobotocore_s_it_is_left_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes longer to import than all of aioecs."""
    for name in ("aiobotocore", "aiobotocore.config", "aiobotocore.httpsession", "aiobotocore.session"):
        monkeypatch.setitem(sys.modules, name, None)
    assert Settings(region_name="eu-west-1", profile_name="other", aws_access_key_id="a").pool_size == 50


def test_credentials_are_in_no_repr() -> None:
    """Settings show where they lead, never what opens the door."""
    shown = repr(
        Settings(
            region_name="eu-west-1",
            aws_access_key_id="hunter2-id",
            aws_secret_access_key="hunter2-key",
            aws_session_token="hunter2-token",
        )
    )
    assert "eu-west-1" in shown
    assert "hunter2" not in shown
