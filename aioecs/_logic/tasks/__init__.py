"""Decisions about tasks that run: how far they are, when to look again, how they ended."""
