"""The client that users open: each public method checks its arguments first, then asks the packages below."""
