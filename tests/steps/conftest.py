"""The world that the step functions are tried in; its fixtures are in ``tests.world``, for other folders too."""

from __future__ import annotations

from tests.world import GOLD, ROOT, World

__all__ = ["GOLD", "ROOT", "World"]
