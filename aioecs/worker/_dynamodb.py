"""A ledger in DynamoDB, for a fleet: every change is one conditional write."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import anyio
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from aioecs._run.privacy import withheld
from aioecs.errors import ClientStateError
from aioecs.worker._claims import KEPT, REMEMBERED, Claimed, Entry, Verdict, from_row, judge, to_row
from aioecs.worker._ledger import LedgerError

_FAILED = "ConditionalCheckFailedException"
_RACES = 10  # lost one after the other: then it isn't races, but an endpoint that doesn't return what stands there
_FREE = "attribute_not_exists(#key)"
_LEFT = "(attribute_not_exists(#arns) AND #print = :print AND #lease <= :ended AND #begun >= :oldest)"
_HELD = "#holder = :holder AND attribute_not_exists(#arns)"


class DynamoDBLedger:
    """A ledger in a DynamoDB table, for workers on any number of machines.

    The partition key is `key` (a string); `expires` is the TTL attribute, fourteen days after the intent.
    Permissions: `dynamodb:UpdateItem`, `DeleteItem`; for `create_table` also `CreateTable`, `DescribeTable` and
    `UpdateTimeToLive`.

    Args:
        table: the table's name.
        region_name, endpoint_url: as aiobotocore takes them.
        session: an aiobotocore session; by default one of the ledger's own.
    """

    def __init__(
        self,
        table: str,
        *,
        region_name: str | None = None,
        endpoint_url: str | None = None,
        session: AioSession | None = None,
    ) -> None:
        self._table = table
        self._where = {"region_name": region_name, "endpoint_url": endpoint_url}
        self._session = session if session is not None else AioSession()
        self._opened = 0
        self._stack = AsyncExitStack()
        self._client: Any = None

    async def __aenter__(self) -> Self:
        if not self._opened:
            # Each write may be made again: its condition knows its own holder.
            config = AioConfig(
                connect_timeout=3,
                read_timeout=5,
                max_pool_connections=50,
                retries={"total_max_attempts": 3, "mode": "standard"},
            )
            self._client = await self._stack.enter_async_context(
                self._session.create_client("dynamodb", config=config, **self._where)
            )
        self._opened += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened -= 1
        if not self._opened:
            self._client = None
            with anyio.CancelScope(shield=True):  # its connections are closed, whoever is cancelled
                await self._stack.aclose()

    async def _call(self, method: str, **members: Any) -> Any:
        if self._client is None:
            raise ClientStateError("the ledger isn't open: use it in `async with ledger`, or give it to a worker")
        try:
            with withheld():  # requests and tokens
                return await getattr(self._client, method)(TableName=self._table, **members)
        except ClientError as error:
            if error.response["Error"]["Code"] == _FAILED:
                raise
            raise LedgerError(f"the ledger's table {self._table}: {error}") from error
        except (BotoCoreError, OSError) as error:
            raise LedgerError(f"the ledger's table {self._table}: {type(error).__name__}") from error

    async def create_table(self, *, timeout: float = 120.0) -> None:
        """Make the table, billed by request, with its TTL, and wait until it is there; one that exists is left alone.

        A cancel may leave the table behind without its TTL; doing it again mends that.

        Raises:
            LedgerError: it can't be made, or isn't ACTIVE within `timeout` seconds.
        """
        try:
            await self._call(
                "create_table",
                AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
                KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
                BillingMode="PAY_PER_REQUEST",
            )
        except LedgerError as error:
            if _code(error.__cause__) != "ResourceInUseException":
                raise
        try:
            with anyio.fail_after(timeout):
                while (await self._call("describe_table"))["Table"]["TableStatus"] != "ACTIVE":  # noqa: ASYNC110 AWS tells nobody
                    await anyio.sleep(0.5)
        except TimeoutError as error:
            raise LedgerError(f"the ledger's table {self._table} isn't ACTIVE after {timeout:g} s") from error
        try:
            await self._call(
                "update_time_to_live", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
            )
        except LedgerError as error:
            if _code(error.__cause__) != "ValidationException":  # it is enabled already
                raise

    async def claim(self, wish: Entry, *, now: float, skew: float) -> Claimed:
        """Claim a job; see `Ledger`."""
        for _ in range(_RACES):
            claimed = await self._claim_once(wish, now, skew)
            if claimed is not None:
                return claimed
        raise LedgerError(f"the ledger's table {self._table} refuses an intent and doesn't say what stands there")

    async def _claim_once(self, wish: Entry, now: float, skew: float) -> Claimed | None:
        row = to_row(wish)
        try:
            answer = await self._call(
                "update_item",
                Key={"key": {"S": wish.key}},
                UpdateExpression="SET #holder = :holder, #lease = :lease, #begun = if_not_exists(#begun, :begun), "
                "#print = if_not_exists(#print, :print), #where = if_not_exists(#where, :where), "
                "#expires = if_not_exists(#expires, :expires)",
                ConditionExpression=f"{_FREE} OR {_LEFT}",
                ExpressionAttributeNames={**_NAMES, "#key": "key", "#where": "instances", "#expires": "expires"},
                ExpressionAttributeValues={
                    ":holder": {"S": wish.holder},
                    ":lease": _number(wish.lease),
                    ":begun": _number(wish.begun),
                    ":print": {"S": wish.fingerprint},
                    ":where": {"S": row["instances"]},
                    ":expires": {"N": str(int(wish.begun + KEPT))},
                    ":ended": _number(now - skew),
                    ":oldest": _number(now - REMEMBERED),
                },
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            standing = error.response.get("Item")
            claimed = judge(_read(standing), wish, now, skew) if standing else None
            # Its own holder: the answer to our first try was lost. Else a grant is a race that was lost: ask again.
            if claimed is None or (claimed.verdict is Verdict.GRANTED and _read(standing).holder != wish.holder):
                return None
            return claimed
        return Claimed(Verdict.GRANTED, _read(answer["Attributes"]))

    async def _held(self, method: str, key: str, holder: str, **members: Any) -> bool:
        values = members.pop("values", {})
        names = members.pop("names", ())
        condition = members.pop("condition", _HELD)
        try:
            await self._call(
                method,
                Key={"key": {"S": key}},
                ConditionExpression=condition,
                ExpressionAttributeNames={name: _NAMES[name] for name in ("#holder", "#arns", *names)},
                ExpressionAttributeValues={":holder": {"S": holder}, **values},
                **members,
            )
        except ClientError:
            return False
        return True

    async def renew(self, key: str, holder: str, *, until: float) -> bool:
        """Prolong a lease; see `Ledger`."""
        return await self._held(
            "update_item",
            key,
            holder,
            names=("#lease",),
            values={":lease": _number(until)},
            UpdateExpression="SET #lease = :lease",
        )

    async def settle(self, key: str, holder: str, arns: tuple[str, ...]) -> bool:
        """Write what was started; see `Ledger`."""
        return await self._held(
            "update_item",
            key,
            holder,
            values={":arns": {"S": json.dumps(arns)}},
            condition="#holder = :holder AND (attribute_not_exists(#arns) OR #arns = :arns)",
            UpdateExpression="SET #arns = :arns",
        )

    async def release(self, key: str, holder: str) -> bool:
        """Take an intent back; see `Ledger`."""
        return await self._held("delete_item", key, holder)

    def __repr__(self) -> str:
        return f"<aioecs.worker.DynamoDBLedger {self._table}, {'open' if self._opened else 'closed'}>"


_NAMES = {"#holder": "holder", "#lease": "lease", "#begun": "begun", "#print": "fingerprint", "#arns": "arns"}


def _code(error: BaseException | None) -> str | None:
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else None


def _number(seconds: float) -> dict[str, str]:
    return {"N": f"{seconds:.3f}"}


def _read(item: Any) -> Entry:
    return from_row({name: next(iter(value.values())) for name, value in item.items()})
