"""access: what the worker uses of a client and a batch beside their public methods."""

from __future__ import annotations

from typing import Any

import pytest
from fake_batch import HOSTS, make_request, with_client
from fake_transport import started

import aioecs
from aioecs import ClientStateError, StartTaskRequest
from aioecs._client.access import check_each_send
from aioecs._client.client import access_of
from aioecs._model.attempt import Attempt
from aioecs._transport.transport import SentMarker
from aioecs.testing import LocalECS


async def test_how_a_client_reaches_aws(local: LocalECS) -> None:
    """Its settings and its Region, while it is open."""
    client = aioecs.Client(**local.client_kwargs())
    with pytest.raises(ClientStateError):
        access_of(client)
    async with client:
        access = access_of(client)
        assert access.region == local.client_kwargs()["region_name"]
        assert access.settings.endpoint_url == local.endpoint_url


def test_each_send_of_a_key_is_checked() -> None:
    """The check comes with the request, for its key; a start without a key is not checked."""
    checks: list[bool | None] = []

    async def answer(request: StartTaskRequest, sent_marker: SentMarker) -> Attempt[Any]:
        checks.append(sent_marker.may_send() if sent_marker.may_send is not None else None)
        return await started(request, sent_marker)

    async def work(client: aioecs.Client, *_: object) -> None:
        async with client.batch() as batch:
            check_each_send(batch, {"yes": True, "no": False}.__getitem__)
            await batch.start_task(make_request(HOSTS[0]), idempotency_key="yes")
            await batch.start_task(make_request(HOSTS[1]))
            await batch.start_task(make_request(HOSTS[2]), idempotency_key="no")

    with_client(work, answer)
    assert checks == [True, None, False]
