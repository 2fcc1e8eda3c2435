"""Everything that a storm's processes need, imported and loaded once, in the server that they are forked from."""

from __future__ import annotations

import uvicorn  # noqa: F401

from sandbox.writers import consumer, ingest, writes  # noqa: F401
from switchover.encoders import wordllama as encoder
from tests.writers import counts, dying, hand, load, report  # noqa: F401

encoder.load_weights()
