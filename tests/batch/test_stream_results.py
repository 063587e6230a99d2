"""stream_results: results until they are the caller's, and the events of those that are."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from fake_batch import HOSTS, make_request
from fake_transport import FakeTransport, make_core
from virtual_time import run_in_virtual_time

from aioecs import Outcome, StartResult
from aioecs._batch.stream_results import StreamResults


def result(number: int) -> StartResult:
    """Return a started start."""
    host = HOSTS[number]
    return StartResult(request=make_request(host), container_instance=host, outcome=Outcome.STARTED)


def made(events: list[Any], *, keep: bool) -> StreamResults:
    """Return the results of a stream whose events are recorded."""
    core = make_core(FakeTransport())
    core.emit = lambda event, *_: events.append(event)
    return StreamResults(core, keep=keep)


@pytest.mark.parametrize("keep", [False, True])
def test_results_are_yielded_in_the_order_in_which_they_settled(keep: bool) -> None:
    """One that keeps them returns them all in the order of the requests."""

    async def main() -> None:
        results = made([], keep=keep)
        for number in (2, 0, 1):
            results.add(number, result(number))
        assert [results.next() for _ in range(3)] == [result(2), result(0), result(1)]
        assert results.kept() == (tuple(map(result, range(3))) if keep else ())
        assert not results.ready

    run_in_virtual_time(main())


def test_a_report_takes_results_once() -> None:
    """Nothing is ready to be yielded; what was taken is not withdrawn any more."""

    async def main() -> None:
        results = made([], keep=True)
        results.yields = False
        results.add(0, result(0))
        assert results.any_unreported
        assert not results.ready
        results.report()
        assert not results.any_unreported
        results.withdraw(itertools.count(7).__next__, lambda *_: True)
        assert results.kept() == (result(0),)

    run_in_virtual_time(main())


def test_what_the_caller_was_not_given_can_be_withdrawn() -> None:
    """Ready results get new numbers; unreported ones leave the report."""

    async def main() -> None:
        results = made([], keep=False)
        results.add(0, result(0))
        results.add(1, result(1))
        stopped: list[tuple[int, StartResult]] = []

        def stops(at: int, start: StartResult) -> bool:
            stopped.append((at, start))
            return start == result(0)

        results.withdraw(itertools.count(7).__next__, stops)
        assert stopped == [(7, result(0)), (8, result(1))]
        assert list(results.ready) == [result(1)]

        report = made([], keep=True)
        report.yields = False
        report.add(0, result(0))
        report.add(1, result(1))
        report.withdraw(itertools.count(7).__next__, stops)
        assert stopped[2:] == [(0, result(0)), (1, result(1))]
        assert report.kept() == (result(1),)

    run_in_virtual_time(main())
