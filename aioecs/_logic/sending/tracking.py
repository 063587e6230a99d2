"""How fast `rate_learner` sends between two throttles: below the measured rate at first, then steadily faster."""

from __future__ import annotations

import math

from aioecs._logic.sending.throttle_history import ThrottleHistory

RESUME_BELOW = 0.4  # how far below the measured rate sending resumes, as a part of it
RISE = 1.2  # by how much the rate rises, in calls/s per second, for a rate of 1/s; it grows with the square root
UNMEASURED_RISE = 1.5  # how fast it rises before the first measurement, as a part of the rate per second
RISE_DECAY = 0.2  # by how much that falls with each further measurement
HALVING_FLIGHT = 20.0  # calls in flight that halve the rise, since only their answers show that they were sent too fast
SURPLUS_DOUBLES = 4.0  # tokens served beyond the measured rate, and beyond noise, that double the rate


def tracking_speed(
    rate: float,
    saving: float,
    measured: int,
    in_flight: float,
    history: ThrottleHistory,
    elapsed: float,
    surplus: float,
) -> float:
    """Return the calls a second, so many seconds after the pause, with so many served beyond the measured rate.

    `saving` is the part of the tokens that is saved: less for a small bucket.
    """
    rise = max(RISE * math.sqrt(rate) * saving * saving, UNMEASURED_RISE * rate * RISE_DECAY**measured)
    rise *= history.gain / (1 + in_flight / HALVING_FLIGHT)
    speed = rate * (1 - RESUME_BELOW * saving * history.resume_weight) + rise * elapsed
    beyond_noise = max(0.0, surplus - history.surplus)
    return speed * (1 + beyond_noise / (SURPLUS_DOUBLES + in_flight))
