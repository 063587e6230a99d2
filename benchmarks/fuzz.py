"""Fuzzes everything that reads foreign input with mutated data, for a given time.

    python -m benchmarks.fuzz --seconds 3600 --seed 7

Answers are sent over loopback to both transports and read with and without msgspec: all four must agree, and may raise
only documented errors. Events, requests, ARNs and fault scripts must be read, or refused with the documented error.
A failure is reported with the seed that reproduces it; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
import warnings
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import attrs
from aiobotocore.session import AioSession

from aioecs._model import arn, limits
from aioecs._model.attempt import Answered, Lost
from aioecs._model.codec.plain import members
from aioecs._model.codec.shape import Shape
from aioecs._model.task_event import read_event
from aioecs._transport import body_reader
from aioecs._transport.answers import read_response
from aioecs._transport.native.connection import Response
from aioecs._transport.native.encoding import body_of
from aioecs._transport.settings import Settings
from aioecs._transport.transport import ALL_OPERATIONS, Operation, SentMarker
from aioecs._transport.transport_factory import open_transport
from aioecs.errors import AnswerLost, ECSServiceError, InvalidRequest
from aioecs.testing import faults_from_script
from aioecs.testing._engine import Engine
from aioecs.worker._sqs.message import from_event, from_queue
from benchmarks.mutator import Mutator

SESSION = AioSession()
STATUSES = (*([200] * 12), 201, 202, 204, 300, 302, 304, 400, 400, 400, 403, 404, 429, 500, 502, 503)
NAMED = {"ListTasks": "taskArns", "ListContainerInstances": "containerInstanceArns"}
INSTANCE = "arn:aws:ecs:us-east-1:123456789012:container-instance/demo/0a1b"
TASK = "arn:aws:ecs:us-east-1:123456789012:task/demo/5c6d"
CODES = ("ClientException", "ServerException", "ThrottlingException", "ns#Unheard", "Odd:http://x/", "", "\x7f", "500")


class ReadingsDiffer(AssertionError):
    """Two readings of one answer differ."""


# ------------------------------------------------------------------------------------------------------------ answers


def read_whole(value: Any) -> Any:
    """Read each member of a value, recursively; no access may raise."""
    if isinstance(value, Shape):
        names = [each.name for each in members(type(value))]
        return {name: read_whole(getattr(value, name)) for name in (*names, "extra")}
    if isinstance(value, (list, tuple)):
        return [read_whole(one) for one in value]
    return repr(value) if not isinstance(value, dict) else {name: read_whole(one) for name, one in value.items()}


def outcome(what: Any) -> Any:
    """Return a comparable form of an attempt; of a lost answer only that it was lost."""
    if isinstance(what, Answered):
        return "answered", what.request_id, read_whole(what.answer)
    if isinstance(what, Lost) and isinstance(what.error, AnswerLost):
        return ("lost",)
    if not isinstance(what.error, ECSServiceError):
        raise ReadingsDiffer(f"{type(what).__name__} of {type(what.error).__name__}: {what.error}")
    return type(what).__name__, type(what.error).__name__, str(what.error), vars(what.error)


@attrs.define
class Server:
    """Answers each request on loopback with the given bytes."""

    answer: bytes = b""
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection, until the other side closes it."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = re.search(rb"(?i)content-length: (\d+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                writer.write(self.answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            writer.close()


@asynccontextmanager
async def both_transports() -> AsyncGenerator[Callable[[Operation[Any], Shape, bytes], Any]]:
    """Open both transports to one server; the yielded function sends with both, and reads each answer twice."""
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    keys: dict[str, Any] = {"aws_access_key_id": "a", "aws_secret_access_key": "s", "region_name": "us-east-1"}
    async with AsyncExitStack() as stack:
        transports: list[Any] = []
        for transport in ("auto", "botocore"):
            settings = Settings(**keys, endpoint_url=url, session=SESSION, transport=transport)
            opened: Any = (await stack.enter_async_context(open_transport(settings)))[0]
            opened.read = read_twice
            transports.append(opened)
        yield partial(_sent, server, transports)
    listener.close()
    await listener.wait_closed()


async def _sent(server: Server, transports: list[Any], operation: Operation[Any], request: Shape, answer: bytes) -> Any:
    server.answer = answer
    outcomes = [outcome(await opened.attempt(operation, request, SentMarker())) for opened in transports]
    if outcomes[0] != outcomes[1]:
        raise ReadingsDiffer(f"native has {outcomes[0]!r:.600}, botocore has {outcomes[1]!r:.600}")
    return outcomes[0]


def read_twice(operation: Operation[Any], request: Shape, response: Response) -> Any:
    """Read with msgspec and without."""
    what = read_response(operation, request, response)
    outcomes = outcome(what), outcome(read_response(operation, request, response, body_reader.STANDARD))
    if outcomes[0] != outcomes[1]:
        raise ReadingsDiffer(f"with msgspec it is {outcomes[0]!r:.600}, without {outcomes[1]!r:.600}")
    return what


def make_request(operation: Operation[Any]) -> Shape:
    """Return a valid request, with members that identify its answer."""
    names: dict[str, Any] = {
        "container_instances": [INSTANCE],
        "task_definition": "demo",
        "task": TASK,
        "tasks": [TASK],
    }
    given: dict[str, Any] = {each.name: names[each.name] for each in members(operation.request) if each.name in names}
    if operation.name in ("StartTask", "RunTask"):
        given["started_by"] = "mark"
    return operation.request(**given)


def random_answer(mutator: Mutator, operation: Operation[Any]) -> tuple[int, list[bytes], bytes]:
    """Return a random status, headers and body: mostly an answer of ECS with an error in it."""
    status = mutator.choice(STATUSES)
    plain = _own(mutator, operation) if status < 400 else _error(mutator)
    body = mutator.corrupted(plain) if status not in (204, 304) else b""
    lines = [b"x-amzn-RequestId: " + mutator.choice((b"1", b"\xe9", b"\xff"))]
    if mutator.random() < 0.2:
        lines.append(b"X-Amzn-Errortype: " + mutator.choice(CODES[:-2]).encode())
    if mutator.random() < 0.1:
        lines.append(b"Date: " + mutator.choice((b"Tue, 14 Nov 2023 22:13:20 +999999999999", b"no date", b"\xff")))
    return status, lines, body


def written(status: int, lines: list[bytes], body: bytes) -> bytes:
    """Return an answer in its form on the wire."""
    return b"\r\n".join((b"HTTP/1.1 %d Status" % status, *lines, b"Content-Length: %d" % len(body), b"", b"")) + body


def _own(mutator: Mutator, operation: Operation[Any]) -> dict[str, Any]:
    """Return a random answer of ECS in plain form, to the request of `make_request`."""
    plain = mutator.plain(operation.answer)
    task = {"taskArn": TASK, "containerInstanceArn": INSTANCE, "startedBy": mutator.choice(("mark", "mark", "other"))}
    task["taskDefinitionArn"] = "arn:aws:ecs:us-east-1:123456789012:task-definition/demo:1"
    if isinstance(plain.get("tasks"), list):
        plain["tasks"] = [{**each, **task} for each in plain["tasks"][: mutator.choice((1, 1, 1, 2))]]
    if isinstance(plain.get("task"), dict):
        plain["task"].update(task)
    for each in plain.get("containerInstances", ()):
        each["containerInstanceArn"] = INSTANCE
    return plain


def _error(mutator: Mutator) -> dict[str, Any]:
    error = {
        mutator.choice(("__type", "code", "Code")): mutator.choice(CODES),
        mutator.choice(("message", "Message")): mutator.text(),
    }
    return error | ({"message": "x" * 5_000_000} if mutator.random() < 0.001 else {})


# ------------------------------------------------------------------------------------------------- other input


def fuzz_event_reader(mutator: Mutator) -> None:
    """Read a mutated event: it is a change of a task with all members, or is refused."""
    task = {"taskArn": TASK, "lastStatus": "RUNNING", "version": mutator.choice((1, 10**18)), "clusterArn": "demo"}
    event: Any = {"detail-type": "ECS Task State Change", "account": "123456789012", "detail": task}
    event = {"Body": json.dumps(event)} if mutator.random() < 0.3 else event
    written = mutator.corrupted(event)
    given: Any = written
    if mutator.random() < 0.2:  # as a dict, if possible
        given = body_reader.STANDARD.json(written)
    try:
        change = read_event(given)
    except InvalidRequest:
        return
    if change is not None:
        read_whole(change.task())


def fuzz_request_reader(mutator: Mutator) -> None:
    """Check a request with a member of another type: it is refused with the name, or can be encoded."""
    operation = mutator.choice(ALL_OPERATIONS)
    request = make_request(operation)
    name = mutator.choice([*(each.name for each in members(operation.request)), "extra"])
    try:
        request = request.replace(
            **{name: mutator.odd() if mutator.random() < 0.7 or name != "extra" else {"a": mutator.odd()}}
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", limits.RequestWarning)  # an unknown enum value is sent, with a warning
            limits.check(request)
    except InvalidRequest:
        return
    body_of(request)


def fuzz_arn_reader(mutator: Mutator) -> None:
    """Read a mutated ARN: it is valid, or is refused."""
    given = mutator.with_odd_bytes(mutator.choice((INSTANCE, TASK, "demo", "0a1b")).encode()).decode("utf-8", "replace")
    for read in (arn.task, arn.instance, arn.cluster_of):
        try:
            read(given, "it")
        except InvalidRequest:
            continue


def fuzz_faults_reader(mutator: Mutator) -> None:
    """Read a mutated script of faults: it is valid, or is refused."""
    script = mutator.corrupted([{"kind": "reset", "when": "after", "times": 2}]).decode("utf-8", "replace")
    try:
        faults_from_script(script)
    except ValueError:
        return


MESSAGE = {
    "MessageId": "m-1",
    "ReceiptHandle": "r-1",
    "Body": "render",
    "Attributes": {"ApproximateReceiveCount": "2", "MessageGroupId": "g"},
    "MessageAttributes": {"scene": {"StringValue": "7", "DataType": "String"}},
}


def fuzz_message_reader(mutator: Mutator) -> None:
    """Read a mutated message of a queue, and as a record of a Lambda: it is valid, or is refused."""
    message = {name: mutator.odd() if mutator.random() < 0.3 else held for name, held in MESSAGE.items()}
    record = {name[:1].lower() + name[1:]: held for name, held in message.items()}
    for read, given in ((from_queue, message), (from_event, record)):
        try:
            read(given)
        except ValueError:
            continue


LOCAL = Engine()
"""One local ECS for all cases: what a case leaves behind is part of the next one."""
STRINGS = ("demo", "demo:1", "default", "web", "EC2", "FARGATE", "", "x" * 400)


def fuzz_local_ecs(mutator: Mutator) -> None:
    """Send a mutated request to the local ECS: it is answered, or refused with a status below 500."""
    operation = mutator.choice(ALL_OPERATIONS)
    names = [each.wire for each in members(operation.request)]
    request = {name: mutator.odd() if mutator.random() < 0.4 else mutator.choice(STRINGS) for name in names}
    answer = LOCAL.answer(operation.name, request)
    if answer.status >= 500:
        raise ReadingsDiffer(f"the local ECS answered {operation.name} with status {answer.status}")


FUZZERS: dict[str, Callable[[Mutator], None]] = {
    "events": fuzz_event_reader,
    "messages": fuzz_message_reader,
    "local ECS": fuzz_local_ecs,
    "requests": fuzz_request_reader,
    "ARNs": fuzz_arn_reader,
    "fault scripts": fuzz_faults_reader,
}


# ---------------------------------------------------------------------------------------------------------- the runs


@attrs.define
class Run:
    """The limits and progress of one fuzzer; each case has its own seed."""

    seed: int
    cases: int | None = None
    until: float = float("inf")
    done: int = 0

    def seeds(self) -> Any:
        """Yield seeds until a limit is reached."""
        for number in count():
            if (self.cases is not None and number >= self.cases) or time.monotonic() >= self.until:
                return
            self.done = number + 1
            yield self.seed + number


async def fuzz_answers(run: Run, operations: tuple[Operation[Any], ...] = ALL_OPERATIONS) -> None:
    """Send mutated answers to both transports, and read each with and without msgspec."""
    async with both_transports() as send:
        for seed in run.seeds():
            mutator = Mutator(seed)
            operation = mutator.choice(operations)
            request = make_request(operation)
            answer = written(*random_answer(mutator, operation))
            try:
                await send(operation, request, answer)
            except Exception as error:
                error.add_note(f"seed {seed}, {operation.name}: {answer[:1_000]!r}")
                raise


def fuzz(attempt: Callable[[Mutator], None], run: Run) -> None:
    """Run one fuzzer with each seed."""
    for seed in run.seeds():
        try:
            attempt(Mutator(seed))
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


async def main(options: argparse.Namespace) -> int:
    """Run all fuzzers in order; each has its share of the time."""
    share, failed = options.seconds / (len(FUZZERS) + 4), 0
    kinds: dict[str, Any] = {
        "answers": fuzz_answers,
        **{name: partial(fuzz, attempt) for name, attempt in FUZZERS.items()},
    }
    for name, fuzzer in kinds.items():
        run = Run(options.seed, until=time.monotonic() + share * (4 if name == "answers" else 1))
        try:
            if (coroutine := fuzzer(run)) is not None:
                await coroutine
        except Exception as error:  # noqa: BLE001 the other fuzzers run after any failure
            failed = 1
            print(f"{name}: case {run.done} failed: {error!r:.2000}", *getattr(error, "__notes__", ()), sep="\n  ")
        else:
            print(f"{name}: {run.done} cases, all read alike or refused as documented")
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="the duration of all fuzzers")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a few seconds, as proof that it runs")
    given = parser.parse_args()
    given.seconds = 8.0 if given.quick else given.seconds
    sys.exit(asyncio.run(main(given)))
