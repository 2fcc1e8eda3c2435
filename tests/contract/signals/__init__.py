"""Every metrics store of the contract suite, by kind."""

from __future__ import annotations

from tests.contract.signals.base import SignalsWorld
from tests.contract.signals.cloudwatch import CloudWatchWorld
from tests.contract.signals.http_json import HttpJsonWorld
from tests.contract.signals.prometheus import PrometheusWorld
from tests.contract.signals.sql import SqlWorld

WORLDS: dict[str, type[SignalsWorld]] = {
    world.kind: world for world in (PrometheusWorld, CloudWatchWorld, HttpJsonWorld, SqlWorld)
}
