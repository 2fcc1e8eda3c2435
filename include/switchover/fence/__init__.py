"""The dedupe fence: the same key twice has one effect (SPEC section 8).

    from switchover.fence import Fence, fence_key
    from switchover.fence.postgres import PostgresStore

Usable without Airflow and without the rest of Switchover: nothing here imports more of it than its errors. A
store is imported from its own module, so that only a program that uses it needs its client. See docs/fence.md.
"""

from __future__ import annotations

from switchover.errors import FenceBusy, FenceConflict, FenceLost
from switchover.fence.base import Store
from switchover.fence.effect import Effect
from switchover.fence.key import FenceKey, fence_key
from switchover.fence.once import DEFAULT_TTL_S, Fence

__all__ = [
    "DEFAULT_TTL_S",
    "Effect",
    "Fence",
    "FenceBusy",
    "FenceConflict",
    "FenceKey",
    "FenceLost",
    "Store",
    "fence_key",
]
