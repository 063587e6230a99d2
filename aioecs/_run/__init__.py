"""Action: time, cancellation, and the tasks that carry calls out. It asks `_plan` what to do and `_wire` to do it."""
