"""The exit statuses of the commands."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
PARTLY: Final = 1
CANNOT: Final = 2
UNWRITTEN: Final = 3
INTERRUPTED: Final = 130  # what a shell reports for a command that SIGINT ended: 128 + 2

EPILOG: Final = (
    "[bold]Exit status[/] of all commands: 0 all was done, 1 some of it was not (it may be tried again), "
    "2 nothing could be done as it was asked, 3 the results could not be written, "
    "130 interrupted. Ended by Ctrl-C, watch and local are done: 0.\n\n"
    "[bold]Environment[/]: an option may come from a variable: AIOECS_START_COUNT=9 is start --count 9, with a value "
    "on each line if it may be repeated. AIOECS_CLUSTER, AIOECS_REGION, AIOECS_PROFILE, AIOECS_ENDPOINT_URL and the "
    "other options of access hold for all commands."
)
