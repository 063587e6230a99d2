"""A simulation of token buckets, and of clients that are throttled by them."""
