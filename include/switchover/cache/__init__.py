"""Caches that cannot serve the wrong arm (SPEC section 9): every key lies in a namespace made from the arm's pins.

    from switchover.cache import CacheNamespace
    from switchover.cache.layers import Cache

A flip and a rollback change the namespace, because the pins change with the arm; nothing is scan-deleted, every
entry has its time to live. See docs/cache.md.
"""

from __future__ import annotations

from switchover.cache.namespace import CACHE_PINS, CacheNamespace

__all__ = ["CACHE_PINS", "CacheNamespace"]
