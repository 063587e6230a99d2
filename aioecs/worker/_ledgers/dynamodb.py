"""A ledger in DynamoDB, for a fleet: every change is one conditional write."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import anyio
from aiobotocore.session import AioSession
from botocore.exceptions import ClientError

from aioecs import Client
from aioecs._transport.redaction import redacted_cause
from aioecs.errors import ClientStateError
from aioecs.worker._aws import call, code_of, enter_client, is_permanent, open_client
from aioecs.worker._ledgers.claims import (
    LOOKUP_LIMIT,
    RETENTION,
    Claimed,
    ClaimOutcome,
    Entry,
    decide_claim,
    from_row,
    is_too_old,
    to_row,
)
from aioecs.worker._ledgers.ledger import EntryError, LedgerError, unreadable

_CONDITION_NOT_MET = "ConditionalCheckFailedException"
_INVALID_REQUEST = "ValidationException"
_MAX_RACES = 10  # lost in a row: then the endpoint doesn't return the item that it refuses for
_IS_NEW = "attribute_not_exists(#key)"
_LEASE_ENDED = "(attribute_not_exists(#arns) AND #print = :print AND #lease <= :ended AND #begun >= :oldest)"
_HELD = "#holder = :holder AND attribute_not_exists(#arns)"
_CLAIM = (
    "SET #holder = :holder, #lease = :lease, #begun = if_not_exists(#begun, :begun), "
    "#print = if_not_exists(#print, :print), #where = if_not_exists(#where, :where), "
    "#expires = if_not_exists(#expires, :expires)"
)
_REPLACE = (
    "SET #holder = :holder, #lease = :lease, #begun = :begun, #print = :print, #where = :where, #expires = :expires "
    "REMOVE #arns"
)
_PROBE = "aioecs.worker: probe"  # key and holder of a write that changes nothing


class DynamoDBLedger:
    """A ledger in a DynamoDB table, for workers on any number of machines.

    The partition key is `key` (a string); `expires` is the TTL attribute, fourteen days after the intent. After
    that an item doesn't count, even if DynamoDB has not deleted it yet.

    The conditional writes of moto's server are not atomic if it has more than one thread: it may grant two claims of
    one job. Against moto each job starts once only if its requests are served one by one.

    Permissions: `dynamodb:UpdateItem`, `DeleteItem`; for `create_table` also `CreateTable`, `DescribeTable` and
    `UpdateTimeToLive`.

    Args:
        table: the table's name.
        region_name, endpoint_url: as aiobotocore takes them; a worker's ledger is by default in its client's Region.
        session: an aiobotocore session; a worker's ledger has by default its client's session and credentials, any
            other ledger a session of its own.
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
        """Use the session, Region and credentials of this client where none were given; a worker calls it."""
        self._ecs = client

    async def __aenter__(self) -> Self:
        if not self._opened:
            # Each write may be repeated: its condition accepts its own holder.
            opened = open_client(
                "dynamodb",
                read_timeout=5,
                connections=50,
                client=self._ecs,
                session=self._session,
                region_name=self._region_name,
                endpoint_url=self._endpoint_url,
            )
            self._client = await enter_client(f"the ledger {self._table}", self._stack.enter_async_context(opened))
        self._opened += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened -= 1
        if not self._opened:
            self._client = None
            with anyio.CancelScope(shield=True):  # a cancel must not leave its connections open
                await self._stack.aclose()

    async def _call(self, method: str, **members: Any) -> Any:
        if self._client is None:
            raise ClientStateError("the ledger isn't open: use it in `async with ledger`, or give it to a worker")
        try:
            answer, _ = await call(self._client, method, TableName=self._table, **members)
        except Exception as error:
            if code_of(error) == _CONDITION_NOT_MET:
                raise
            why = str(error) if isinstance(error, ClientError) else type(error).__name__
            failed = LedgerError(f"the ledger's table {self._table}: {why}")
            failed.permanent = is_permanent(error)
            raise failed from redacted_cause(error)
        return answer

    async def _write(self, method: str, key: str, **members: Any) -> Any:
        """Write conditionally; a refusal because of this one item is an EntryError, one because of the table is not.

        Raises:
            ClientError: the condition was not met.
        """
        try:
            return await self._call(method, Key={"key": {"S": key}}, **members)
        except LedgerError as error:
            if code_of(error.__cause__) != _INVALID_REQUEST or not await self._table_works():
                raise
            raise EntryError(f"{error}, under the key {key[:100]!r}") from error.__cause__

    async def _table_works(self) -> bool:
        """Return whether the table accepts another write, which changes nothing."""
        try:
            await self.release(_PROBE, _PROBE)
        except LedgerError as error:
            return code_of(error.__cause__) != _INVALID_REQUEST
        return True

    async def create_table(self, *, timeout: float = 120.0) -> None:
        """Create the table, billed by request, with its TTL, and wait until it is ACTIVE; an existing one is kept.

        A cancel may leave the table without its TTL; call it again then.

        Raises:
            LedgerError: it can't be created, or isn't ACTIVE within `timeout` seconds.
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
                while (await self._call("describe_table"))["Table"]["TableStatus"] != "ACTIVE":  # noqa: ASYNC110 AWS sends no notification
                    await anyio.sleep(0.5)
        except TimeoutError as error:
            raise LedgerError(f"the ledger's table {self._table} isn't ACTIVE after {timeout:g} s") from error
        try:
            await self._call(
                "update_time_to_live", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
            )
        except LedgerError as error:
            if code_of(error.__cause__) != _INVALID_REQUEST:  # it is enabled already
                raise

    async def claim(self, intent: Entry, *, now: float, skew: float) -> Claimed:
        """Claim a job; see `Ledger`."""
        unreadable_item: LedgerError | None = None
        for _ in range(_MAX_RACES):
            try:
                claimed = await self._claim_once(intent, now, skew)
            except EntryError as error:  # moto may show an item that is written in part
                unreadable_item = error
                continue
            if claimed is not None:
                return claimed
        raise unreadable_item or LedgerError(
            f"{self._name} refuses an intent and doesn't return the item that is there"
        )

    async def _claim_once(self, intent: Entry, now: float, skew: float) -> Claimed | None:
        """Write the intent if its condition is met, else decide by the item that is there; None if a race was lost."""
        values = {":ended": _number(now - skew), ":oldest": _number(now - LOOKUP_LIMIT)}
        try:
            return await self._write_intent(intent, _CLAIM, f"{_IS_NEW} OR {_LEASE_ENDED}", values)
        except ClientError as error:
            existing = error.response.get("Item")
        if not existing:
            return None
        entry = self._read(existing, intent.key)
        if is_too_old(entry, now):
            return await self._replace(entry, intent, now)
        claimed = decide_claim(entry, intent, now, skew)
        # Its own holder: the answer to our first try was lost. Any other grant means that a race was lost: ask again.
        return None if claimed.outcome is ClaimOutcome.GRANTED and entry.holder != intent.holder else claimed

    async def _replace(self, old: Entry, intent: Entry, now: float) -> Claimed | None:
        """Write the intent over an item that is too old."""
        values = {":old": {"S": old.holder}, ":too_old": _number(now - RETENTION)}
        try:
            return await self._write_intent(intent, _REPLACE, "#begun < :too_old AND #holder = :old", values)
        except ClientError:
            return None

    async def _write_intent(self, intent: Entry, update: str, condition: str, values: dict[str, Any]) -> Claimed:
        names = {**_NAMES, "#key": "key", "#expires": "expires"}
        answer = await self._write(
            "update_item",
            intent.key,
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames={name: held for name, held in names.items() if name in update + condition},
            ExpressionAttributeValues={
                ":holder": {"S": intent.holder},
                ":lease": _number(intent.lease),
                ":begun": _number(intent.begun),
                ":print": {"S": intent.fingerprint},
                ":where": {"S": to_row(intent)["instances"]},
                ":expires": {"N": str(int(intent.begun + RETENTION))},
                **values,
            },
            ReturnValues="ALL_NEW",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
        try:
            return Claimed(ClaimOutcome.GRANTED, self._read(answer.get("Attributes"), intent.key))
        except EntryError as error:
            raise LedgerError(f"{self._name} wrote an intent and answered with another item") from error

    def _read(self, item: Any, key: str) -> Entry:
        try:
            return from_row({str(name): _plain(held) for name, held in item.items()})
        except (ValueError, AttributeError) as why:
            raise unreadable(self._name, key, why) from why

    @property
    def _name(self) -> str:
        return f"the ledger's table {self._table}"

    async def _write_if_held(self, method: str, key: str, holder: str, **members: Any) -> bool:
        """Write an item if this holder has the job; False if it is another worker's by now."""
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
        if not answer.get("Attributes"):  # DynamoDB returns them with each write; another service's 200 has none
            raise LedgerError(f"{self._name}: {method} was not answered by DynamoDB")
        return True

    async def renew(self, key: str, holder: str, *, until: float) -> bool:
        """Prolong a lease; see `Ledger`."""
        return await self._write_if_held(
            "update_item",
            key,
            holder,
            names=("#lease",),
            values={":lease": _number(until)},
            UpdateExpression="SET #lease = :lease",
        )

    async def record_instances(self, key: str, holder: str, instances: tuple[str, ...]) -> bool:
        """Write where a job is sent; see `Ledger`."""
        return await self._write_if_held(
            "update_item",
            key,
            holder,
            names=("#where",),
            values={":where": {"S": json.dumps(instances)}},
            UpdateExpression="SET #where = :where",
        )

    async def settle(self, key: str, holder: str, arns: tuple[str, ...]) -> bool:
        """Write which tasks were started; see `Ledger`."""
        return await self._write_if_held(
            "update_item",
            key,
            holder,
            values={":arns": {"S": json.dumps(arns)}},
            condition="#holder = :holder AND (attribute_not_exists(#arns) OR #arns = :arns)",
            UpdateExpression="SET #arns = :arns",
        )

    async def release(self, key: str, holder: str) -> bool:
        """Delete an intent; see `Ledger`."""
        return await self._write_if_held("delete_item", key, holder)

    def __repr__(self) -> str:
        return f"<aioecs.worker.DynamoDBLedger {self._table}, {'open' if self._opened else 'closed'}>"


_NAMES = {
    "#holder": "holder",
    "#lease": "lease",
    "#begun": "begun",
    "#print": "fingerprint",
    "#where": "instances",
    "#arns": "arns",
}


def _number(seconds: float) -> dict[str, str]:
    """Write a time so that it is read back the same, to the last bit: it is compared."""
    return {"N": repr(float(seconds))}


def _plain(held: Any) -> Any:
    """Return a text or a number; an attribute of another type, which aioecs doesn't write, is returned as it is."""
    return held.get("S", held.get("N", held)) if isinstance(held, dict) else held
