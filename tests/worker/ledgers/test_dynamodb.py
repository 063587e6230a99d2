"""dynamodb: the ledger in DynamoDB as moto's server has it, and with scripted answers."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from ledger_rules import NOW, LedgerRules, new_entry, outcome
from moto_queue import SESSION, serialized_moto_server
from raw_server import Exchange, RawServer

from aioecs.errors import ClientStateError, ConfigurationError
from aioecs.worker import Claimed, ClaimOutcome, DynamoDBLedger, EntryError, LedgerError
from aioecs.worker._ledgers.claims import RETENTION, to_row

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Run moto's server."""
    with serialized_moto_server() as url:
        yield url


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have credentials."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")


def at(url: str, table: str = "jobs") -> DynamoDBLedger:
    """Return the ledger of a table there."""
    return DynamoDBLedger(table, region_name="us-east-1", endpoint_url=url, session=SESSION)


@pytest.fixture
async def ledger(moto: str) -> AsyncIterator[DynamoDBLedger]:
    """Open one with nothing in it."""
    async with at(moto, uuid.uuid4().hex) as ledger:
        await ledger.create_table()
        yield ledger


class TestRules(LedgerRules):
    """Those of all ledgers."""


async def test_a_table_is_made_once(ledger: DynamoDBLedger) -> None:
    """One that exists is left alone, and what is in it has its end of life in `expires`, in whole seconds."""
    await ledger.claim(new_entry(), now=NOW, skew=5)
    await ledger.create_table()
    assert await outcome(ledger, new_entry("b")) is ClaimOutcome.HELD
    found = await ledger._call("get_item", Key={"key": {"S": "job"}})
    assert found["Item"]["expires"] == {"N": str(int(NOW + RETENTION))}
    found = await ledger._call("describe_time_to_live")
    assert found["TimeToLiveDescription"]["AttributeName"] == "expires"


async def test_without_a_table_nothing_is_written(moto: str) -> None:
    """Every method raises LedgerError, with the table's name and DynamoDB's message."""
    async with at(moto, "absent") as ledger:
        asked: list[Awaitable[object]] = [
            ledger.claim(new_entry(), now=NOW, skew=5),
            ledger.renew("job", "a", until=NOW),
            ledger.settle("job", "a", ("arn",)),
            ledger.release("job", "a"),
        ]
        for each in asked:
            with pytest.raises(LedgerError, match=r"the ledger's table absent: .*ResourceNotFoundException"):
                await each


async def test_it_is_used_open() -> None:
    """Closed, it raises an error; with a session of its own it opens too, and nothing answers there."""
    ledger = DynamoDBLedger("jobs", region_name="us-east-1", endpoint_url="http://127.0.0.1:9")
    assert repr(ledger) == "<aioecs.worker.DynamoDBLedger jobs, closed>"
    async with ledger:
        assert repr(ledger) == "<aioecs.worker.DynamoDBLedger jobs, open>"
        with pytest.raises(LedgerError, match="the ledger's table jobs: EndpointConnectionError"):
            await outcome(ledger, new_entry())
    with pytest.raises(ClientStateError, match="isn't open"):
        await outcome(ledger, new_entry())


# A DynamoDB with scripted answers -------------------------------------------------------------------------------------

Scripted = tuple[int, dict[str, Any]]
DONE: Scripted = (200, {})


def refused(code: str, **more: Any) -> Scripted:
    """Refuse with a code."""
    return 400, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no", **more}


def saying(**says: list[Scripted]) -> Callable[[Exchange], Awaitable[None]]:
    """Answer each operation with one after the other, the last for ever."""

    async def behave(exchange: Exchange) -> None:
        head = await exchange.head()
        await exchange.body()
        script = says[head.partition("DynamoDB_20120810.")[2].partition("\r\n")[0]]
        status, body = script.pop(0) if len(script) > 1 else script[0]
        exchange.answer(status, json.dumps(body), "Content-Type: application/x-amz-json-1.0")

    return behave


def an_item(**members: Any) -> dict[str, Any]:
    """Return an intent as DynamoDB has it."""
    row = {name: value for name, value in to_row(new_entry(**members)).items() if value is not None}
    return {name: {"S": value} if isinstance(value, str) else {"N": str(value)} for name, value in row.items()}


TABLES: dict[str, list[Scripted]] = {
    "CreateTable": [DONE],
    "DescribeTable": [(200, {"Table": {"TableStatus": "ACTIVE"}})],
    "UpdateTimeToLive": [DONE],
}


async def test_a_table_that_takes_its_time() -> None:
    """It is waited for."""
    slow = [(200, {"Table": {"TableStatus": "CREATING"}}), *TABLES["DescribeTable"]]
    async with RawServer(saying(**{**TABLES, "DescribeTable": slow})) as server, at(server.url) as ledger:
        await ledger.create_table()
        asked = [head.partition("DynamoDB_20120810.")[2].partition("\r\n")[0] for head in server.heads]
    assert asked == ["CreateTable", "DescribeTable", "DescribeTable", "UpdateTimeToLive"]


async def test_a_table_that_never_comes() -> None:
    """It is waited for so long and no longer."""
    never: list[Scripted] = [(200, {"Table": {"TableStatus": "CREATING"}})]
    async with RawServer(saying(**{**TABLES, "DescribeTable": never})) as server, at(server.url) as ledger:
        with pytest.raises(LedgerError, match=r"table jobs isn't ACTIVE after 0\.05 s"):
            await ledger.create_table(timeout=0.05)


@pytest.mark.parametrize(
    ("operation", "code", "harmless"),
    [
        ("CreateTable", "ResourceInUseException", True),
        ("CreateTable", "AccessDeniedException", False),
        ("CreateTable", "ValidationException", False),
        ("DescribeTable", "AccessDeniedException", False),
        ("UpdateTimeToLive", "ValidationException", True),
        ("UpdateTimeToLive", "AccessDeniedException", False),
    ],
)
async def test_a_table_that_can_t_be_made(operation: str, code: str, harmless: bool) -> None:
    """A refusal is raised, unless it means that the table or its TTL is there already."""
    async with RawServer(saying(**{**TABLES, operation: [refused(code)]})) as server, at(server.url) as ledger:
        if harmless:
            await ledger.create_table()
        else:
            with pytest.raises(LedgerError, match=code):
                await ledger.create_table()


LEASE_LOST = "ConditionalCheckFailedException"


@pytest.mark.parametrize(
    ("first", "found", "requests"),
    [
        ([], Claimed(ClaimOutcome.GRANTED, new_entry()), 1),
        ([refused(LEASE_LOST)], Claimed(ClaimOutcome.GRANTED, new_entry()), 2),
        (
            [refused(LEASE_LOST, Item=an_item(holder="b", lease=NOW - 50))],
            Claimed(ClaimOutcome.GRANTED, new_entry()),
            2,
        ),
        ([refused(LEASE_LOST, Item=an_item(holder="a"))], Claimed(ClaimOutcome.GRANTED, new_entry()), 1),
        ([refused(LEASE_LOST, Item=an_item(holder="b"))], Claimed(ClaimOutcome.HELD, new_entry("b")), 1),
    ],
    ids=["free", "deleted meanwhile", "a race that was lost", "its own", "another's"],
)
async def test_a_claim_is_granted_by_a_write_alone(first: list[Scripted], found: Claimed, requests: int) -> None:
    """What would be free by now is asked for again; its own intent, whose answer was lost, is granted as it stands."""
    script = [*first, (200, {"Attributes": an_item(holder="a")})]
    async with RawServer(saying(UpdateItem=script)) as server, at(server.url) as ledger:
        assert await ledger.claim(new_entry(), now=NOW, skew=5) == found
        assert len(server.bodies) == requests


HALF = [
    ({}, "key is missing"),
    ({"key": {"S": "job"}}, "holder is missing"),
    ({**an_item(), "holder": {"B": "YQ=="}}, "holder is a dict"),
    ({**an_item(), "lease": {"S": "soon"}}, "lease is no number of seconds"),
    ({**an_item(), "lease": {"N": "soon"}}, "lease is no number of seconds"),
    ({**an_item(), "begun": {"NULL": True}}, "begun is no number of seconds"),
    ({**an_item(), "instances": {"SS": ["i"]}}, "instances is a dict"),
    ({**an_item(), "instances": {"S": "{}"}}, "instances is no list of strings"),
    ({**an_item(), "arns": {"S": "no JSON"}}, "arns is no JSON"),
    ({**an_item(), "arns": {"L": []}}, "arns is a dict"),
]


@pytest.mark.parametrize(("item", "expected"), HALF[1:])
async def test_a_stranger_s_item_is_named(item: dict[str, Any], expected: str) -> None:
    """Which stays as it is: it is the one job's, and not the ledger's."""
    async with RawServer(saying(UpdateItem=[refused(LEASE_LOST, Item=item)])) as server, at(server.url) as ledger:
        with pytest.raises(EntryError, match=f"table jobs has something else under the key 'job': {expected}"):
            await ledger.claim(new_entry(), now=NOW, skew=5)


async def test_half_an_item_is_a_lost_race() -> None:
    """It is asked for again, and may be whole by then."""
    script = [refused(LEASE_LOST, Item=HALF[1][0]), refused(LEASE_LOST, Item=an_item(holder="b"))]
    async with RawServer(saying(UpdateItem=script)) as server, at(server.url) as ledger:
        assert await outcome(ledger, new_entry()) is ClaimOutcome.HELD


INVALID = "ValidationException"


@pytest.mark.parametrize(
    ("probe", "kind"), [([refused(LEASE_LOST)], EntryError), ([DONE], EntryError), ([refused(INVALID)], LedgerError)]
)
async def test_whose_fault_a_refused_value_is(probe: list[Scripted], kind: type[LedgerError]) -> None:
    """The one item's, if the table takes another; else the table's, whose key may be another one."""
    async with RawServer(saying(UpdateItem=[refused(INVALID)], DeleteItem=probe)) as server, at(server.url) as ledger:
        with pytest.raises(LedgerError, match=INVALID) as caught:
            await ledger.claim(new_entry(), now=NOW, skew=5)
        assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("code", "permanent"),
    [
        *(("AccessDeniedException", True), ("UnrecognizedClientException", True), ("InvalidSignatureException", False)),
        *(("ExpiredTokenException", False), ("ProvisionedThroughputExceededException", False)),
    ],
)
async def test_what_only_other_settings_can_mend(code: str, permanent: bool) -> None:
    """It is marked, so that a worker ends with it."""
    async with RawServer(saying(DeleteItem=[refused(code)])) as server, at(server.url) as ledger:
        with pytest.raises(LedgerError, match=code) as caught:
            await ledger.release("job", "a")
        assert caught.value.permanent is permanent


async def test_without_a_region_or_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to do; a worker's ledger would use its client's Region and credentials."""
    with pytest.raises(ConfigurationError, match="the ledger jobs: no Region: pass region_name="):
        async with DynamoDBLedger("jobs"):
            pass
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    async with DynamoDBLedger("jobs", region_name="us-east-1", endpoint_url="http://127.0.0.1:9") as ledger:
        with pytest.raises(LedgerError, match="NoCredentialsError") as caught:
            await outcome(ledger, new_entry())
        assert caught.value.permanent


async def test_random_answers_are_errors_of_the_ledger() -> None:
    """Two hundred bodies that are no answer of DynamoDB, as answers and as refusals: LedgerError or a plain no."""
    jitter = random.Random(23)
    bodies = [a_body(jitter) for _ in range(200)]

    async def behave(exchange: Exchange) -> None:
        await exchange.request()
        exchange.answer(jitter.choice((200, 200, 400)), jitter.choice(bodies))

    async with RawServer(behave) as server, at(server.url) as ledger:
        for number in range(200):
            asked: Awaitable[object] = jitter.choice(
                (
                    lambda: ledger.claim(new_entry(), now=NOW, skew=5),
                    lambda: ledger.renew("job", "a", until=NOW),
                    lambda: ledger.settle("job", "a", ("arn",)),
                    lambda: ledger.release("job", "a"),
                )
            )()
            try:
                found = await asked
            except LedgerError as error:
                found = error
            assert isinstance(found, (bool, Claimed)) or str(found).startswith("the ledger's table jobs"), number


def a_body(jitter: random.Random) -> bytes:
    """Draw bytes, JSON, and JSON of nearly the right kind."""
    values: list[Any] = [None, True, 7, "x", [], {}, [[]], {"S": "x"}, {"N": "x"}, {"S": 7}, an_item(), "\ud800"]
    name = jitter.choice(("Attributes", "Item", "__type", "message", "Error"))
    return jitter.choice(
        (
            lambda: jitter.randbytes(jitter.randint(0, 40)),
            lambda: b"\xff\xfe" + json.dumps({name: 1}).encode(),
            lambda: json.dumps(jitter.choice(values)).encode(),
            lambda: json.dumps({name: jitter.choice(values)}).encode(),
            lambda: json.dumps({name: {"key": jitter.choice(values), "holder": jitter.choice(values)}}).encode(),
            lambda: json.dumps({"__type": LEASE_LOST, "Item": jitter.choice(values)}).encode(),
            lambda: b"[" * 3000,
        )
    )()


async def test_a_refusal_that_says_nothing_is_not_asked_for_ever() -> None:
    """As by an endpoint that doesn't know what DynamoDB returns with a failed condition."""
    async with RawServer(saying(UpdateItem=[refused(LEASE_LOST)])) as server, at(server.url) as ledger:
        with pytest.raises(LedgerError, match="doesn't return the item that is there"):
            await ledger.claim(new_entry(), now=NOW, skew=5)
        assert len(server.bodies) == 10
