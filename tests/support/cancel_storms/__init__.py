"""Storms of cancels around the answers of ECS: cases, an async client in virtual time, a blocking one on threads."""
