"""settings: checks that need neither a session nor a client, and the size of the pool."""

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
            "profile_name and session can't be combined: give the profile to your session",
        ),
        ({"session": boto3.Session}, "session must be an aiobotocore AioSession, not a boto3.session.Session"),
        (
            {"session": botocore.session.Session},
            "session must be an aiobotocore AioSession, not a botocore.session.Session",
        ),
        ({"session": "default"}, "session must be an aiobotocore AioSession, not a builtins.str"),
        ({"config": {"retries": 1}}, "config must be an aiobotocore AioConfig, not a builtins.dict"),
        (
            {"config": AioConfig(max_pool_connections=0)},
            "config.max_pool_connections must be a whole number, 1 or more, not 0",
        ),
        (
            {"config": AioConfig(max_pool_connections="7")},
            "config.max_pool_connections must be a whole number, 1 or more, not '7'",
        ),
    ],
)
def test_contradicting_settings_are_refused(given: dict[str, Any], text: str) -> None:
    """Settings that contradict each other, or have a wrong type, are refused when they are created."""
    made = {name: value() if isinstance(value, type) else value for name, value in given.items()}
    with pytest.raises(ConfigurationError) as caught:
        Settings(region_name="eu-west-1", **made)
    assert str(caught.value) == text


@pytest.mark.parametrize("given", [HttpxSession, "AIOHTTPSession"])
def test_another_http_session_is_refused(given: Any) -> None:
    """Only aiobotocore's AIOHTTPSession lets aioecs see that the body is written."""
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
def test_valid_settings(given: dict[str, Any]) -> None:
    """Values are kept as given; timeouts have their defaults."""
    settings = Settings(**given)
    assert {name: getattr(settings, name) for name in given} == given
    assert (settings.timeouts, settings.transport, settings.pool_size) == (Timeouts(), "auto", 50)


@pytest.mark.parametrize(
    ("given", "in_flight", "pool_size"),
    [(None, 50, 50), (None, 200, 200), (7, 50, 7), (100, 50, 100), (10, 50, 50)],
    ids=["by default", "as many as in flight", "a smaller pool", "a larger pool", "botocore's default"],
)
def test_the_pool_size(given: int | None, in_flight: int, pool_size: int) -> None:
    """The pool is as large as `max_in_flight`, unless the config has a size other than botocore's default."""
    config = AioConfig() if given is None else AioConfig(max_pool_connections=given)
    for each in (config, None) if given is None else (config,):
        assert Settings(region_name="eu-west-1", config=each, max_in_flight=in_flight).pool_size == pool_size


def test_settings_do_not_import_aiobotocore(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiobotocore takes longer to import than all of aioecs."""
    for name in ("aiobotocore", "aiobotocore.config", "aiobotocore.httpsession", "aiobotocore.session"):
        monkeypatch.setitem(sys.modules, name, None)
    assert Settings(region_name="eu-west-1", profile_name="other", aws_access_key_id="a").pool_size == 50


def test_the_repr_holds_no_credentials() -> None:
    """The repr shows the Region and the endpoint, but no secret."""
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


@pytest.mark.parametrize("name", ["region_name", "endpoint_url", "aws_access_key_id", "aws_session_token"])
def test_every_control_character_is_refused(name: str) -> None:
    """The two ranges of Unicode, at the start, in the middle and at the end."""
    for code in (*range(0x20), *range(0x7F, 0xA0)):
        for value in (f"{chr(code)}us-east-1", f"us-{chr(code)}east-1", f"us-east-1{chr(code)}"):
            given: dict[str, Any] = {"region_name": "us-east-1", name: value}
            with pytest.raises(ConfigurationError, match=f"{name} holds a control character"):
                Settings(**given)
