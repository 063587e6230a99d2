"""A ledger in DynamoDB, for a fleet: every change is one conditional write."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import anyio
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

from aioecs import Client
from aioecs.errors import ClientStateError
from aioecs.worker._aws import ask, code_of, entered, is_permanent, opening
from aioecs.worker._ledgers.claims import KEPT, REMEMBERED, Claimed, Entry, Verdict, from_row, is_too_old, judge, to_row
from aioecs.worker._ledgers.ledger import EntryError, LedgerError, unreadable

_FAILED = "ConditionalCheckFailedException"
_INVALID = "ValidationException"
_RACES = 10  # lost one after the other: then it isn't races, but an endpoint that doesn't return what stands there
_FREE = "attribute_not_exists(#key)"
_LEFT = "(attribute_not_exists(#arns) AND #print = :print AND #lease <= :ended AND #begun >= :oldest)"
_HELD = "#holder = :holder AND attribute_not_exists(#arns)"
_TAKE = (
    "SET #holder = :holder, #lease = :lease, #begun = if_not_exists(#begun, :begun), "
    "#print = if_not_exists(#print, :print), #where = if_not_exists(#where, :where), "
    "#expires = if_not_exists(#expires, :expires)"
)
_REPLACE = (
    "SET #holder = :holder, #lease = :lease, #begun = :begun, #print = :print, #where = :where, #expires = :expires "
    "REMOVE #arns"
)
_NOBODY = "aioecs.worker: is the table well?"


class DynamoDBLedger:
    """A ledger in a DynamoDB table, for workers on any number of machines.

    The partition key is `key` (a string); `expires` is the TTL attribute, fourteen days after the intent. An item that
    DynamoDB has not deleted by then counts for nothing all the same.

    moto's server, with more than one thread, does not write conditionally as a whole: two claims of one job may both be
    granted there, or one meet the other's half-written item, which is a race that was lost and is asked for again.
    Against moto each job starts once only if its requests are served one by one.

    Permissions: `dynamodb:UpdateItem`, `DeleteItem`; for `create_table` also `CreateTable`, `DescribeTable` and
    `UpdateTimeToLive`.

    Args:
        table: the table's name.
        region_name, endpoint_url: as aiobotocore takes them; a worker's ledger is by default in its client's Region.
        session: an aiobotocore session; a worker's ledger has by default its client's session and credentials, one
            that is used by itself a session of its own.
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
        self._region_name = region_name
        self._endpoint_url = endpoint_url
        self._session = session
        self._ecs: Client | None = None
        self._opened = 0
        self._stack = AsyncExitStack()
        self._client: Any = None

    def open_with(self, client: Client) -> None:
        """Take session, Region and credentials from this client where none were given; a worker calls it."""
        self._ecs = client

    async def __aenter__(self) -> Self:
        if not self._opened:
            # Each write may be made again: its condition knows its own holder.
            config = AioConfig(
                connect_timeout=3,
                read_timeout=5,
                max_pool_connections=50,
                retries={"total_max_attempts": 3, "mode": "standard"},
            )
            opened = opening(
                "dynamodb",
                config,
                client=self._ecs,
                session=self._session,
                region_name=self._region_name,
                endpoint_url=self._endpoint_url,
            )
            self._client = await entered(f"the ledger {self._table}", self._stack.enter_async_context(opened))
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
            answer, _ = await ask(self._client, method, TableName=self._table, **members)
        except Exception as error:
            if code_of(error) == _FAILED:
                raise
            why = str(error) if isinstance(error, ClientError) else type(error).__name__
            failed = LedgerError(f"the ledger's table {self._table}: {why}")
            failed.permanent = is_permanent(error)
            raise failed from error
        return answer

    async def _write(self, method: str, key: str, **members: Any) -> Any:
        """Write conditionally; what is refused because of the one item is told apart from what is wrong with the table.

        Raises:
            ClientError: the condition was not met.
        """
        try:
            return await self._call(method, Key={"key": {"S": key}}, **members)
        except LedgerError as error:
            if code_of(error.__cause__) != _INVALID or not await self._is_well():
                raise
            raise EntryError(f"{error}, under the key {key[:100]!r}") from error.__cause__

    async def _is_well(self) -> bool:
        """Tell whether the table takes a write like any other, which changes nothing."""
        try:
            await self.release(_NOBODY, _NOBODY)
        except LedgerError as error:
            return code_of(error.__cause__) != _INVALID
        return True

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
            if code_of(error.__cause__) != "ResourceInUseException":
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
            if code_of(error.__cause__) != _INVALID:  # it is enabled already
                raise

    async def claim(self, wish: Entry, *, now: float, skew: float) -> Claimed:
        """Claim a job; see `Ledger`."""
        left: LedgerError | None = None
        for _ in range(_RACES):
            try:
                claimed = await self._claim_once(wish, now, skew)
            except EntryError as error:  # half of an item may be whole a moment later
                left = error
                continue
            if claimed is not None:
                return claimed
        raise left or LedgerError(f"{self._name} refuses an intent and doesn't say what stands there")

    async def _claim_once(self, wish: Entry, now: float, skew: float) -> Claimed | None:
        """Write the intent if the condition is met, else judge what stands there; None if that was a lost race."""
        values = {":ended": _number(now - skew), ":oldest": _number(now - REMEMBERED)}
        try:
            return await self._take(wish, _TAKE, f"{_FREE} OR {_LEFT}", values)
        except ClientError as error:
            standing = error.response.get("Item")
        if not standing:
            return None
        entry = self._read(standing, wish.key)
        if is_too_old(entry, now):
            return await self._replace(entry, wish, now)
        claimed = judge(entry, wish, now, skew)
        # Its own holder: the answer to our first try was lost. Else a grant is a race that was lost: ask again.
        return None if claimed.verdict is Verdict.GRANTED and entry.holder != wish.holder else claimed

    async def _replace(self, old: Entry, wish: Entry, now: float) -> Claimed | None:
        """Write the intent over an item that is too old to count."""
        values = {":old": {"S": old.holder}, ":forgotten": _number(now - KEPT)}
        try:
            return await self._take(wish, _REPLACE, "#begun < :forgotten AND #holder = :old", values)
        except ClientError:
            return None

    async def _take(self, wish: Entry, update: str, condition: str, values: dict[str, Any]) -> Claimed:
        names = {**_NAMES, "#key": "key", "#where": "instances", "#expires": "expires"}
        answer = await self._write(
            "update_item",
            wish.key,
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames={name: held for name, held in names.items() if name in update + condition},
            ExpressionAttributeValues={
                ":holder": {"S": wish.holder},
                ":lease": _number(wish.lease),
                ":begun": _number(wish.begun),
                ":print": {"S": wish.fingerprint},
                ":where": {"S": to_row(wish)["instances"]},
                ":expires": {"N": str(int(wish.begun + KEPT))},
                **values,
            },
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        try:
            return Claimed(Verdict.GRANTED, self._read(answer.get("Attributes"), wish.key))
        except EntryError as error:
            raise LedgerError(f"{self._name} wrote an intent and answered with something else") from error

    def _read(self, item: Any, key: str) -> Entry:
        try:
            return from_row({str(name): _plain(held) for name, held in item.items()})
        except (ValueError, AttributeError) as why:
            raise unreadable(self._name, key, why) from why

    @property
    def _name(self) -> str:
        return f"the ledger's table {self._table}"

    async def _held(self, method: str, key: str, holder: str, **members: Any) -> bool:
        values = members.pop("values", {})
        names = members.pop("names", ())
        condition = members.pop("condition", _HELD)
        try:
            answer = await self._write(
                method,
                key,
                ConditionExpression=condition,
                ExpressionAttributeNames={name: _NAMES[name] for name in ("#holder", "#arns", *names)},
                ExpressionAttributeValues={":holder": {"S": holder}, **values},
                ReturnValues="ALL_OLD",
                **members,
            )
        except ClientError:
            return False
        if not answer.get("Attributes"):  # which a write that was done says, and another service's 200 doesn't
            raise LedgerError(f"{self._name}: {method} was answered, and not by DynamoDB")
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


def _number(seconds: float) -> dict[str, str]:
    """Write a time so that it comes back the same, to the last bit: it is compared."""
    return {"N": repr(float(seconds))}


def _plain(held: Any) -> Any:
    """Read an attribute that may be of any type; what is neither text nor a number is none of ours."""
    return held.get("S", held.get("N", held)) if isinstance(held, dict) else held
