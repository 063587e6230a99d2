"""access: what the worker uses of a client and a batch beside their public methods."""

from __future__ import annotations

import pytest
from fake_batch import HOSTS, make_request, with_client

import aioecs
from aioecs import ClientStateError, Outcome
from aioecs._client.access import check_each_send
from aioecs._client.client import access_of
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
    """Where the check says no nothing is sent; a start without a key is not checked."""

    async def work(client: aioecs.Client, *_: object) -> None:
        checked: list[str] = []

        def may_send(key: str) -> bool:
            checked.append(key)
            return key == "yes"

        async with client.batch() as batch:
            check_each_send(batch, may_send)
            await batch.start_task(make_request(HOSTS[0]), idempotency_key="yes")
            await batch.start_task(make_request(HOSTS[1]))
            with pytest.raises(aioecs.StartError) as refused:
                await batch.start_task(make_request(HOSTS[2]), idempotency_key="no")
            assert refused.value.outcome is Outcome.NOT_SENT
        assert checked == ["yes", "no"]

    with_client(work)
