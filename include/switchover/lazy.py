"""Modules that are loaded at their first use: a plan names stores and rules, and must not pay for their libraries."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class _Lazy:
    """Stands for a module until an attribute of it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(import_module(self._name), attribute)
        setattr(self, attribute, value)  # the next use finds it here
        return value


def lazy(name: str) -> Any:
    """The module ``name``, imported at the first use. Write the plain import beside it, for type checkers only."""
    return _Lazy(name)
