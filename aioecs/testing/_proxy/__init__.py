"""The fault proxy: scripted faults between any client and any endpoint of ECS."""
