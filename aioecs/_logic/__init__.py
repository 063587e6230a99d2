"""Decisions without I/O, clock or randomness: the input comes in with its time, the decision comes out."""
