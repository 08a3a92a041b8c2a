"""Qhronos keeps time for other systems."""

__version__ = "0.1.0"
