"""Many starts at once: streams of starts, packing into calls, placement on container instances."""
