"""The client that users open: each public method checks its arguments first, then calls the packages below."""
