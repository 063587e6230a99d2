"""candidates: hosts ranked for tasks of one shape and any size, by all that changes them."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.host import Host
from aioecs._logic.placement.host_capacity import CapacityModel
from aioecs._logic.placement.placer import Placer
from aioecs._model.placement import Binpack, Placement, Random, Spread

PLACEMENTS: list[Placement] = [Spread(), Spread("rack"), Binpack(), Binpack("cpu"), Random()]
HOSTS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 2)), min_size=1, max_size=12)
SIZES = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=60)


def hosts(shown: list[tuple[int, int, int]]) -> list[Host]:
    """Make hosts with so much CPU and memory, each in a rack."""
    return [Host(arn=f"h{n}", cpu=c, memory=m, attributes={"rack": str(r)}) for n, (c, m, r) in enumerate(shown)]


@pytest.mark.parametrize("placement", PLACEMENTS, ids=repr)
@given(shown=HOSTS, sizes=SIZES, seed=st.integers())
def test_a_task_of_any_size_finds_a_place_if_there_is_one(
    placement: Placement, shown: list[tuple[int, int, int]], sizes: list[tuple[int, int]], seed: int
) -> None:
    """And goes where the placement prefers it, as a check of every host shows."""
    placer = Placer(hosts(shown), Demand(), placement, (), random.Random(seed).random)
    left = {f"h{n}": [c, m] for n, (c, m, _) in enumerate(shown)}
    racks = {f"h{n}": r for n, (_, _, r) in enumerate(shown)}
    counts: Counter[str] = Counter()
    per_rack: Counter[int] = Counter()
    for cpu, memory in sizes:
        fits = [name for name, (c, m) in left.items() if c >= cpu and m >= memory]
        where = placer.choose(Demand(cpu=cpu, memory=memory))
        assert (where is None) == (not fits)
        if where is None:
            continue
        assert where in fits
        if placement == Spread():
            assert counts[where] == min(counts[name] for name in fits)
        elif isinstance(placement, Spread):
            assert per_rack[racks[where]] == min(per_rack[racks[name]] for name in fits)
        elif isinstance(placement, Binpack):
            at = 0 if placement.by == "cpu" else 1
            assert left[where][at] == min(left[name][at] for name in fits)
        counts[where] += 1
        per_rack[racks[where]] += 1
        left[where][0] -= cpu
        left[where][1] -= memory


def test_placers_of_one_call_count_together() -> None:
    """Tasks of two shapes are spread as one: each goes where the fewest of the call are."""
    capacity_model = CapacityModel([Host(arn=f"h{n}", cpu=100, memory=100) for n in range(4)])
    counts: Counter[str] = Counter()
    random_number = random.Random(1).random
    web, job = Demand(cpu=1, tcp=frozenset({80})), Demand(cpu=1)
    one = Placer(capacity_model, web, Spread(), (), random_number, counts=counts)
    other = Placer(capacity_model, job, Spread(), (), random_number, counts=counts)
    chosen = [placer.choose() for placer in (one, other, one, other)]
    assert len(set(chosen)) == 4
    one.unsent(chosen[0] or "")
    assert other.choose() == chosen[0]


def most_that_fit(free: list[tuple[int, int]], sizes: list[tuple[int, int]]) -> int:
    """Return how many of the tasks fit at best, by trying every way."""
    if not sizes:
        return 0
    (cpu, memory), others = sizes[0], sizes[1:]
    best = most_that_fit(free, others)
    tried: set[tuple[int, int]] = set()
    for n, (c, m) in enumerate(free):
        if c >= cpu and m >= memory and (c, m) not in tried:
            tried.add((c, m))
            best = max(best, 1 + most_that_fit([*free[:n], (c - cpu, m - memory), *free[n + 1 :]], others))
    return best


FEW_HOSTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=3)


@pytest.mark.parametrize("placement", PLACEMENTS, ids=repr)
@settings(max_examples=30, deadline=None)
@given(free=FEW_HOSTS, size=st.tuples(st.integers(1, 4), st.integers(1, 4)), count=st.integers(1, 8))
def test_as_many_of_one_size_fit_as_exact_packing_fits(
    placement: Placement, free: list[tuple[int, int]], size: tuple[int, int], count: int
) -> None:
    """Whatever the placement prefers."""
    placer = Placer(hosts([(c, m, 0) for c, m in free]), Demand(), placement, (), random.Random(3).random)
    task = Demand(cpu=size[0], memory=size[1])
    placed = sum(placer.choose(task) is not None for _ in range(count))
    assert placed == most_that_fit(free, [size] * count)


@pytest.mark.parametrize(("placement", "share"), [(Binpack(), 0.88), (Spread(), 0.85), (Random(), 0.85)], ids=repr)
def test_nearly_as_many_fit_as_exact_packing_fits(placement: Placement, share: float) -> None:
    """Over 300 small cases, of which each asks for more than there is; the tasks come in any order, and the exact
    packing knows them all beforehand."""
    random_number = random.Random(7)
    placed = best = 0
    for _ in range(300):
        free = [(random_number.randint(2, 8), random_number.randint(2, 8)) for _ in range(3)]
        sizes = [(random_number.randint(1, 4), random_number.randint(1, 4)) for _ in range(7)]
        shown = [(c, m, 0) for c, m in free]
        placer = Placer(hosts(shown), Demand(), placement, (), random_number.random)
        placed += sum(placer.choose(Demand(cpu=c, memory=m)) is not None for c, m in sizes)
        best += most_that_fit(free, sizes)
    assert placed >= share * best, placed / best
