"""The ledgers, all by one table of claims: in memory, in a file, and in DynamoDB as moto's server has it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from aioecs import StartTaskRequest
from aioecs.errors import ClientStateError, InvalidRequest
from aioecs.worker import DynamoDBLedger, Entry, Ledger, LedgerError, MemoryLedger, SQLiteLedger, Verdict
from aioecs.worker._claims import KEPT, REMEMBERED, checked_key, fingerprint

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]
NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Run moto's server; its threads take turns, for its conditional writes are not atomic by themselves."""
    from moto.dynamodb.models import DynamoDBBackend
    from moto.server import ThreadedMotoServer

    patch, turn = pytest.MonkeyPatch(), threading.Lock()
    for name in ("update_item", "delete_item"):
        patch.setattr(DynamoDBBackend, name, _one_by_one(getattr(DynamoDBBackend, name), turn))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
    patch.undo()


def _one_by_one(write: Callable[..., Any], turn: threading.Lock) -> Callable[..., Any]:
    def written(*args: Any, **members: Any) -> Any:
        with turn:
            return write(*args, **members)

    return written


@pytest.fixture(params=["memory", "sqlite", "dynamodb"])
async def ledger(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ledger]:
    """Open a ledger of each kind, with nothing in it."""
    if request.param == "memory":
        async with MemoryLedger() as memory:
            yield memory
    elif request.param == "sqlite":
        async with SQLiteLedger(tmp_path / "jobs.db") as file:
            yield file
    else:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        url = request.getfixturevalue("moto")
        async with DynamoDBLedger(tmp_path.name, region_name="us-east-1", endpoint_url=url) as table:
            await table.create_table()
            await table.create_table()
            yield table


def wish(holder: str = "a", **members: Any) -> Entry:
    """Return an intent."""
    given: dict[str, Any] = {"key": "job", "lease": NOW + 100, "begun": NOW, "fingerprint": "f", "instances": ("i1",)}
    return Entry(holder=holder, **{**given, **members})


async def verdict(ledger: Ledger, claim: Entry, now: float = NOW) -> Verdict:
    """Claim, and return the verdict."""
    return (await ledger.claim(claim, now=now, skew=5)).verdict


async def test_one_of_many_has_the_job(ledger: Ledger) -> None:
    """Of twenty claims at once one is granted."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(verdict(ledger, wish(str(number)))) for number in range(20)]
    assert sorted(task.result() for task in tasks) == [Verdict.GRANTED, *[Verdict.HELD] * 19]


async def test_a_settled_job_stays_so(ledger: Ledger) -> None:
    """It is told with its ARNs to whoever comes, settles once, and can't be released."""
    await ledger.claim(wish(), now=NOW, skew=5)
    assert await ledger.settle("job", "a", ("arn1",))
    assert await ledger.settle("job", "a", ("arn1",)), "again, after a lost answer"
    assert not await ledger.settle("job", "a", ("arn2",))
    assert not await ledger.release("job", "a")
    assert not await ledger.renew("job", "a", until=NOW + 500)
    claimed = await ledger.claim(wish("b"), now=NOW + 9999, skew=5)
    assert (claimed.verdict, claimed.entry.arns) == (Verdict.SETTLED, ("arn1",))


async def test_an_ended_lease_is_taken_over(ledger: Ledger) -> None:
    """Not before the clocks may differ; with the instances and the time of the first intent; the dead one is out."""
    await ledger.claim(wish(), now=NOW, skew=5)
    assert await verdict(ledger, wish("b"), NOW + 104.9) is Verdict.HELD
    heir = wish("b", lease=NOW + 300, begun=NOW + 105, instances=("i2",))
    claimed = await ledger.claim(heir, now=NOW + 105, skew=5)
    assert claimed.verdict is Verdict.GRANTED
    assert claimed.entry == attrs.evolve(heir, begun=NOW, instances=("i1",))
    assert not await ledger.renew("job", "a", until=NOW + 999)
    assert not await ledger.settle("job", "a", ("arn1",))
    assert not await ledger.release("job", "a")
    assert await ledger.settle("job", "b", ("arn1",))


async def test_a_renewed_lease_holds(ledger: Ledger) -> None:
    """As long as it was prolonged."""
    await ledger.claim(wish(), now=NOW, skew=5)
    assert await ledger.renew("job", "a", until=NOW + 500)
    assert await verdict(ledger, wish("b"), NOW + 300) is Verdict.HELD


async def test_a_released_job_is_free(ledger: Ledger) -> None:
    """At once, and for another request too."""
    await ledger.claim(wish(), now=NOW, skew=5)
    assert await ledger.release("job", "a")
    assert not await ledger.renew("job", "a", until=NOW)
    assert await verdict(ledger, wish("b", fingerprint="other")) is Verdict.GRANTED


async def test_a_claim_made_twice_is_one(ledger: Ledger) -> None:
    """A claim whose answer was lost is granted to the same holder again."""
    assert await verdict(ledger, wish()) is Verdict.GRANTED
    assert await verdict(ledger, wish()) is Verdict.GRANTED


async def test_another_request_is_told_so(ledger: Ledger) -> None:
    """Whether the first was settled, or died: it takes nothing over."""
    await ledger.claim(wish(), now=NOW, skew=5)
    assert await verdict(ledger, wish("b", fingerprint="other"), NOW + 200) is Verdict.MISMATCH
    await ledger.settle("job", "a", ())
    assert await verdict(ledger, wish("b", fingerprint="other")) is Verdict.MISMATCH


async def test_an_intent_beyond_ecs_memory_can_t_be_known(ledger: Ledger) -> None:
    """It is granted to nobody."""
    await ledger.claim(wish(), now=NOW, skew=5)
    assert await verdict(ledger, wish("b"), NOW + REMEMBERED + 1) is Verdict.FORGOTTEN
    assert await verdict(ledger, wish("b"), NOW + REMEMBERED - 1) is Verdict.GRANTED


async def test_what_can_t_come_again_is_forgotten(tmp_path: Path) -> None:
    """By the claims themselves, once in an hour; a job that is claimed is looked at by itself."""
    memory, file = MemoryLedger(), SQLiteLedger(tmp_path / "jobs.db")
    late = NOW + KEPT + 1
    async with memory, file:
        for ledger in (memory, file):
            assert await verdict(ledger, wish()) is Verdict.GRANTED
            assert await verdict(ledger, wish(key="other")) is Verdict.GRANTED
            assert await verdict(ledger, wish("b", begun=late, lease=late + 100), late) is Verdict.GRANTED
        assert repr(memory) == "<aioecs.worker.MemoryLedger, 1 jobs>"
        assert await file.purge(now=late) == 0, "the claim has purged the other"
        for ledger in (memory, file):
            assert await verdict(ledger, wish("c", key="third", begun=NOW - 1), late + 1) is Verdict.GRANTED
            assert await verdict(ledger, wish("d", key="third", begun=late), late + 2) is Verdict.GRANTED, "too old"


async def test_a_table_that_never_comes(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for so long and no longer."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    async with DynamoDBLedger("slow", region_name="us-east-1", endpoint_url=moto) as table:

        async def call(method: str, **_: Any) -> Any:
            return {"Table": {"TableStatus": "CREATING"}}

        monkeypatch.setattr(table, "_call", call)
        with pytest.raises(LedgerError, match="isn't ACTIVE"):
            await table.create_table(timeout=0.01)


async def test_a_ledger_that_can_t_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so by LedgerError, and the file's recovers by itself."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    async with SQLiteLedger(tmp_path / "absent" / "jobs.db") as file:
        with pytest.raises(LedgerError):
            await verdict(file, wish())
        (tmp_path / "absent").mkdir()
        assert await verdict(file, wish()) is Verdict.GRANTED
    with pytest.raises(ClientStateError):
        await verdict(file, wish())
    async with DynamoDBLedger("jobs", region_name="us-east-1", endpoint_url="http://127.0.0.1:9") as table:
        with pytest.raises(LedgerError):
            await verdict(table, wish())


def _claim_until_killed(path: str, number: int) -> None:
    async def claim() -> None:
        async with SQLiteLedger(path) as ledger:
            for job in range(10**6):
                entry = wish(f"{number}-{job}", key=str(job))
                if (await ledger.claim(entry, now=NOW, skew=5)).verdict is Verdict.GRANTED:
                    await ledger.settle(entry.key, entry.holder, (entry.holder,))

    asyncio.run(claim())


async def test_the_file_survives_kills(tmp_path: Path) -> None:
    """Processes that share it are killed in mid-write: what is there is whole, and each job has one holder."""
    path = str(tmp_path / "jobs.db")
    async with SQLiteLedger(path) as ledger:
        await verdict(ledger, wish())
        context = multiprocessing.get_context("spawn")
        processes = [context.Process(target=_claim_until_killed, args=(path, n), daemon=True) for n in range(2)]
        for process in processes:
            process.start()
        while await verdict(ledger, wish("probe", key="30")) is Verdict.GRANTED:
            await ledger.release("30", "probe")
            await asyncio.sleep(0.02)
        for process in processes:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.join)
        for job in range(30):
            claimed = await ledger.claim(wish("later", key=str(job)), now=NOW, skew=5)
            assert claimed.verdict is not Verdict.GRANTED
            assert claimed.entry.arns in (None, (claimed.entry.holder,))
        assert await ledger.purge(now=NOW + KEPT + 1) > 30


def test_a_digest_tells_requests_apart_and_keeps_no_secret() -> None:
    """It is the same wherever a job starts, and another for each key and request."""
    one = StartTaskRequest(task_definition="demo", container_instances=["a"])
    assert fingerprint("k", one) == fingerprint("k", one.replace(container_instances=["b"]))
    assert len({fingerprint("k", one), fingerprint("l", one), fingerprint("k", one.replace(group="g"))}) == 3


@pytest.mark.parametrize("key", ["", "x" * 1025, 7, None])
def test_a_key_has_limits(key: object) -> None:
    """A string of 1 to 1,024 bytes."""
    with pytest.raises(InvalidRequest):
        checked_key(key)
