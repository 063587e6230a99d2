"""The checks: each finds out about some of the facts, and says on which conditions it can."""
