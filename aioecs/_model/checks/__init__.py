"""The documented limits of requests, and the checks that hold a request against them."""
