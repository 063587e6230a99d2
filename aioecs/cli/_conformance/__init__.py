"""The checks of conformance, as a command."""
