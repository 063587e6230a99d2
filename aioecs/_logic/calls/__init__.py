"""Decisions about one call that starts tasks: its state machine, its lookups, its result."""
