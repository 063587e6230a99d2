"""services: clients of other services, reached as ECS is, of which nothing is logged."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from raw_server import Exchange, RawServer

import aioecs
from aioecs._client.client import access_of
from aioecs._client.services import asked, opened
from aioecs.errors import ClientStateError
from aioecs.testing import LocalECS

CONFIG = AioConfig(retries={"total_max_attempts": 1, "mode": "standard"})


async def answered(exchange: Exchange) -> None:
    """Answer with a message that holds a secret."""
    await exchange.request()
    exchange.answer(200, '{"Messages": [{"Body": "canary-body", "MessageId": "m", "ReceiptHandle": "r"}]}')


async def test_it_is_reached_as_ecs_is(local: LocalECS) -> None:
    """With the client's keys and Region, and not at ECS's endpoint; another Region may be named."""
    access: dict[str, Any] = {**local.client_kwargs()}
    async with RawServer(answered) as server, aioecs.Client(**access) as client:
        for region in (None, "eu-central-1"):
            async with opened(
                access_of(client), "sqs", config=CONFIG, endpoint_url=server.url, region_name=region
            ) as sqs:
                await asked(sqs, "receive_message", QueueUrl="q")
    for head, region in zip(server.heads, (access["region_name"], "eu-central-1"), strict=True):
        assert f"Credential={access['aws_access_key_id']}/" in head
        assert f"/{region}/sqs/aws4_request" in head


async def test_it_has_the_client_s_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local: LocalECS) -> None:
    """Where there is no default one."""
    config = tmp_path / "config"
    config.write_text("[profile p]\nregion = eu-west-3\naws_access_key_id = from-p\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    async with (
        RawServer(answered) as server,
        aioecs.Client(profile_name="p", endpoint_url=local.endpoint_url) as client,
        opened(access_of(client), "sqs", config=CONFIG, endpoint_url=server.url) as sqs,
    ):
        await asked(sqs, "receive_message", QueueUrl="q")
    assert "Credential=from-p/" in server.heads[0]
    assert "/eu-west-3/sqs/" in server.heads[0]


async def test_nothing_of_it_is_logged(caplog: pytest.LogCaptureFixture, local: LocalECS) -> None:
    """At DEBUG: neither bodies, sent or received, nor attributes, nor the session token."""
    caplog.set_level(logging.DEBUG)
    async with (
        RawServer(answered) as server,
        aioecs.Client(
            "us-east-1",
            endpoint_url=local.endpoint_url,
            aws_access_key_id="a",
            aws_secret_access_key="canary-key",
            aws_session_token="canary-token",
        ) as client,
        opened(access_of(client), "sqs", config=CONFIG, endpoint_url=server.url) as sqs,
    ):
        await asked(sqs, "receive_message", QueueUrl="q")
        attributes = {"a": {"DataType": "String", "StringValue": "canary-attribute"}}
        await asked(sqs, "send_message", QueueUrl="q", MessageBody="canary-sent", MessageAttributes=attributes)
    raw = [f"{record.msg!r} {record.args!r}" for record in caplog.records]
    assert "canary" not in "\n".join([caplog.text, *raw])
    assert "withheld by aioecs" in caplog.text


async def test_a_closed_client_reaches_nothing(local: LocalECS) -> None:
    """As it does itself."""
    access: dict[str, Any] = {**local.client_kwargs()}
    with pytest.raises(ClientStateError):
        async with opened(access_of(aioecs.Client(**access)), "sqs", config=CONFIG):
            pass
