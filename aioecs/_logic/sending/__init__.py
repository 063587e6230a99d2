"""Decisions about when and together with what a start is sent: packing and rate limiting."""
