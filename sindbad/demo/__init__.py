"""The small synthetic encyclopedia and the tiny models of `make demo`."""
