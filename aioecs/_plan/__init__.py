"""Decisions, with no clock, no dice and no I/O of their own: what happened comes in, what to do comes out."""
