"""What planning costs: microseconds for each start placed, as hosts and starts grow; no request is sent.

Run `python -m benchmarks.placement`, or with `--quick` for a tenth of it. The starts are of thirty sizes in random
order, on hosts of three sizes that are filled to the last place at the end of the largest case.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator

from aioecs import Binpack, Random, Spread
from aioecs._logic.placement.demand import Demand
from aioecs._logic.placement.host import Host
from aioecs._logic.placement.placer import Placer
from aioecs._model.placement import Placement

HOSTS = (100, 1_000, 10_000)
STARTS = 100_000
PLACEMENTS: tuple[Placement, ...] = (Spread(), Spread("ecs.availability-zone"), Binpack(), Random())


def hosts(count: int) -> list[Host]:
    """Make hosts of three sizes in three zones."""
    sizes = ((4096, 8192), (8192, 32768), (16384, 65536))
    zones = [{"ecs.availability-zone": f"z{n}"} for n in range(3)]
    return [
        Host(arn=f"h{n}", cpu=sizes[n % 3][0], memory=sizes[n % 3][1], attributes=zones[n % 3]) for n in range(count)
    ]


def demands(count: int, seed: int = 1) -> Iterator[Demand]:
    """Make so many demands, of thirty sizes."""
    dice = random.Random(seed)
    sizes = [Demand(cpu=cpu, memory=memory) for cpu in (64, 128, 256, 512, 1024) for memory in range(128, 3200, 512)]
    for _ in range(count):
        yield dice.choice(sizes)


def measure(placement: Placement, count: int, starts: int) -> tuple[float, float, int]:
    """Return microseconds for the first start, which ranks all hosts, and for each further one; and how many fitted."""
    placer = Placer(hosts(count), Demand(), placement, (), random.Random(2).random)
    began = time.process_time()
    placer.choose(Demand())
    first = time.process_time() - began
    wanted = list(demands(starts))
    began = time.process_time()
    placed = sum(placer.choose(demand) is not None for demand in wanted)
    return first * 1e6, (time.process_time() - began) / starts * 1e6, placed


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the starts")
    starts = STARTS // 10 if parser.parse_args().quick else STARTS
    print(f"{'placement':34} {'hosts':>6} {'starts':>7} {'placed':>7} {'ranked in':>10} {'each':>9}")
    for placement in PLACEMENTS:
        for count in HOSTS:
            first, each, placed = measure(placement, count, starts)
            print(f"{placement!s:34} {count:6} {starts:7} {placed:7} {first / 1e3:7.1f} ms {each:6.1f} us")


if __name__ == "__main__":
    main()
