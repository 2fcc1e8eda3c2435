"""What a run will need later is asked before anything is frozen, and every proof is tried on Blue, where it must hold.

A reader that cannot be read would otherwise be found when the pointer has moved and the writers stand still.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import httpx

from switchover import web
from switchover.answers import Reply, Report
from switchover.arms import ArmClient
from switchover.encoder import encoder_from
from switchover.errors import InvariantBroken, SwitchoverError
from switchover.steps.readers import prove_pointer, prove_readers
from switchover.steps.switch import Switch

QUESTION = "switchover preflight"


def require_controls(switch: Switch, *, blue: str, green: str) -> None:
    """Raise ``InvariantBroken`` with everything that would be needed later and does not answer now. Reads only."""
    checks: dict[str, Callable[[], object]] = {
        f"pointer {switch.pointer.key}": lambda: prove_pointer(switch, blue, seconds=switch.plan.converge_s),
        "readers": lambda: _readers(switch, blue),
        "judge encoder": lambda: switch.encoder,
        **{f"arm {arm!r}": lambda arm=arm: asyncio.run(_arm(switch, arm)) for arm in (blue, green)},  # type: ignore[misc]
    }
    wrong: list[str] = []
    for what, check in checks.items():
        try:
            check()
        except (SwitchoverError, ValueError, KeyError) as error:
            wrong.append(f"{what}: {str(error).splitlines()[0]}")
    if wrong:
        raise InvariantBroken(
            f"{len(wrong)} of what this run needs later fails on Blue {blue!r} now; nothing was frozen or changed:"
            f" {'; '.join(wrong)}"
        )


def _readers(switch: Switch, blue: str) -> None:
    health = switch.index.health(blue)
    if health.stored_hash is not None:  # without a manifest, verify says what is missing
        prove_readers(switch, blue, index_hash=health.stored_hash, seconds=switch.plan.converge_s)


async def _arm(switch: Switch, arm: str) -> None:
    """An arm reports itself, and its paths for questions, and for canaries where the plan has a cache, are there."""
    plan = switch.plan
    async with contextlib.AsyncExitStack() as stack:
        options = switch.edge.http_options(plan.arms[arm].connection)
        client: ArmClient = switch.arm_client(arm, await stack.enter_async_context(web.async_client(**options)))
        report: Report = await client.report_async()
        encoder_from(report.encoder)
        _require_path(await client.ask(QUESTION, seed=0, k=plan.probes.k))
        if plan.cache is not None:
            reply = await client.ask(QUESTION, seed=0, k=plan.probes.k, through_cache=True)
            _require_path(reply)
            if reply.ok and reply.cache is None:
                raise InvariantBroken("the plan has a cache, but answers do not say `cache`: hit, miss or off")


def _require_path(reply: Reply) -> None:
    """An arm that fails now may be well when it is judged: a 5xx is for warm to count, a wrong path is not."""
    if not reply.ok and reply.status < httpx.codes.INTERNAL_SERVER_ERROR:
        raise InvariantBroken(f"a question: {reply.error}")
