"""Sindbad: trains and serves long-horizon research agents in any language, Arabic first."""

__version__ = "0.1.0"
