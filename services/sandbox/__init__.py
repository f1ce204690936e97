"""Untrusted Python in isolation: the Sandbox service."""
