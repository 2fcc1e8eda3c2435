"""moto's server: ``--port N --data DIR``. It keeps its state over an orderly restart, and DynamoDB's writes are atomic.

The real DynamoDB's conditional writes are atomic; moto's threads look and write in two steps.
"""

from __future__ import annotations

import argparse
import functools
import marshal
import pickle
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

from moto.backends import get_backend
from moto.dynamodb.models import DynamoDBBackend
from moto.server import main as serve

from sandbox.processes import ports

# ELBv2 holds subnets and security groups of EC2, and certificates of ACM and IAM.
SERVICES: tuple[Any, ...] = ("ec2", "elbv2", "acm", "iam", "sts", "route53", "ssm", "dynamodb", "appconfig")


class _Pickler(pickle.Pickler):
    """Also writes what moto's objects hold and pickle refuses or cannot read again."""

    def reducer_override(self, item: Any) -> Any:
        if isinstance(item, FunctionType) and "<locals>" in item.__qualname__ and item.__closure__ is None:
            return _function, (item.__module__, marshal.dumps(item.__code__))
        if isinstance(item, defaultdict) and type(item) is not defaultdict:  # its __init__ may take anything
            return _dictionary, (type(item), item.default_factory), vars(item), None, iter(item.items())
        return NotImplemented


def _function(module: str, code: bytes) -> FunctionType:
    return FunctionType(marshal.loads(code), vars(sys.modules[module]))  # noqa: S302  our own file


def _dictionary(kind: type[defaultdict[Any, Any]], factory: Callable[[], Any] | None) -> defaultdict[Any, Any]:
    made = kind.__new__(kind)
    made.default_factory = factory
    return made


def save(path: Path) -> None:
    """Write every account and region of the services above; the file is whole or not there."""
    state = {
        (service, account, region): backend
        for service in SERVICES
        if f"moto.{service}.models" in sys.modules  # without: nobody has called it
        for account, regions in get_backend(service).items()
        for region, backend in regions.items()
    }
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        _Pickler(file).dump(state)
    fresh.replace(path)


def load(path: Path) -> None:
    """Put back what ``save`` wrote, if there is any."""
    if not path.exists():
        return
    with path.open("rb") as file:
        state = pickle.load(file)  # noqa: S301  our own file, in a directory closed to others
    for (service, account, region), backend in state.items():
        get_backend(service)[account][region] = backend


def one_write_at_a_time() -> None:
    """Let no thread write between another's look and its write."""
    lock = threading.RLock()  # a transaction's writes call the single ones
    for name in ("put_item", "update_item", "delete_item", "transact_write_items"):
        setattr(DynamoDBBackend, name, _locked(getattr(DynamoDBBackend, name), lock))


def _locked(method: Callable[..., Any], lock: threading.RLock) -> Callable[..., Any]:
    @functools.wraps(method)
    def alone(*args: Any, **kwargs: Any) -> Any:
        with lock:
            return method(*args, **kwargs)

    return alone


def main() -> None:
    """Serve until SIGTERM, then write the state."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.servers.moto_process")
    parser.add_argument("--port", required=True)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    path = args.data / "state.pickle"
    load(path)
    one_write_at_a_time()
    try:
        serve(["--host", ports.HOST, "--port", args.port])  # SIGTERM makes it raise SystemExit
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        save(path)


if __name__ == "__main__":
    main()
