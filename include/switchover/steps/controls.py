"""What a run will need later is asked before anything is frozen, and every proof is tried on Blue, where it must hold.

A reader that cannot be read would otherwise be found when the pointer has moved and the writers stand still.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial

import httpx

from switchover.arms.client import ArmClient
from switchover.edge import web
from switchover.edge.answers import Reply, Report
from switchover.errors import InvariantBroken, SwitchoverError
from switchover.steps.encoders import arm_encoder, known_again
from switchover.steps.readers import prove_pointer, prove_readers
from switchover.steps.switch import Switch
from switchover.text import first_line

QUESTION = "switchover preflight"
CANNOT = (SwitchoverError, ValueError, KeyError)


def require_controls(switch: Switch, *, blue: str, green: str) -> None:
    """Raise ``InvariantBroken`` with everything that would be needed later and does not answer now. Reads only."""
    wrong: list[str] = []
    for what, check in controls(switch, blue=blue, green=green, seconds=switch.plan.converge_s, canaries=True).items():
        try:
            check()
        except CANNOT as error:
            wrong.append(f"{what}: {first_line(error)}")
    if wrong:
        raise InvariantBroken(
            f"{len(wrong)} of what this run needs later fails on Blue {blue!r} now; nothing was frozen or changed:"
            f" {'; '.join(wrong)}"
        )


def controls(switch: Switch, *, blue: str, green: str, seconds: float, canaries: bool) -> dict[str, Callable[[], str]]:
    """What is asked, by name; each says what came, or raises one of ``CANNOT``.

    ``seconds``: how long pointer and readers are waited for. ``canaries``: also through the arms' caches, which leaves
    one entry in each; a dry run leaves none.
    """
    arms = {f"arm {arm!r}": partial(_arm_answers, switch, arm, canaries) for arm in (blue, green)}
    return {
        f"pointer {switch.pointer.key}": partial(_pointer, switch, blue, seconds),
        "readers": partial(_readers, switch, blue, seconds),
        "judge encoder": partial(_judge, switch),
        **arms,
    }


def _pointer(switch: Switch, blue: str, seconds: float) -> str:
    prove_pointer(switch, blue, seconds=seconds)
    return f"{blue!r} is live"


def _readers(switch: Switch, blue: str, seconds: float) -> str:
    health = switch.index.health(blue)
    if health.stored_hash is None:
        return "not asked: Blue has no manifest"  # verify says what is missing
    followed = prove_readers(switch, blue, index_hash=health.stored_hash, seconds=seconds)
    return f"{', '.join(followed)}: on {blue!r} with INDEX_HASH {health.stored_hash[:12]}"


def _judge(switch: Switch) -> str:
    """A text is encoded: an encoder that only says its name could not fail here."""
    encoder = switch.plan.judge_encoder.build(switch.edge)  # not the one that remembers its answers
    vector = encoder.encode([QUESTION], query=True)[0]
    if len(vector) != encoder.dimension or not vector.any():
        raise InvariantBroken(f"{encoder.name} gives no vector of {encoder.dimension} dimensions")
    return f"{encoder.name}, {encoder.dimension} dimensions; {known_again(switch, encoder)}"


def _arm_answers(switch: Switch, arm: str, canaries: bool) -> str:
    return asyncio.run(_arm(switch, arm, canaries))


async def _arm(switch: Switch, arm: str, canaries: bool) -> str:
    """An arm reports itself, and its paths for questions, and for canaries where the plan has a cache, are there."""
    plan = switch.plan
    async with contextlib.AsyncExitStack() as stack:
        options = switch.edge.http_options(plan.arms[arm].connection)
        client: ArmClient = switch.arm_client(arm, await stack.enter_async_context(web.async_client(**options)))
        report: Report = await client.report_async()
        encoder = _encoder(switch, arm, report)
        _require_path(await client.ask(QUESTION, seed=0, k=plan.probes.k))
        if plan.cache is not None and canaries:
            reply = await client.ask(QUESTION, seed=0, k=plan.probes.k, through_cache=True)
            _require_path(reply)
            if reply.ok and reply.cache is None:
                raise InvariantBroken("the plan has a cache, but answers do not say `cache`: hit, miss or off")
        return f"says what it is, encoder {encoder}"


def _encoder(switch: Switch, arm: str, report: Report) -> str:
    """The encoder of an arm, asked for one vector: verify will ask it for many, while the writers stand still."""
    if not report.encoder and switch.plan.arms[arm].encoder is None:
        return "not said: verify asks the manifest's"
    encoder = arm_encoder(switch, arm, reported=report.encoder, stored={})
    if encoder is None:
        return "not checked, by the plan's word"
    encoder.encode([QUESTION])
    return encoder.name


def _require_path(reply: Reply) -> None:
    """An arm that fails now may be well when it is judged: a 5xx is for warm to count, a wrong path is not."""
    if not reply.ok and reply.status < httpx.codes.INTERNAL_SERVER_ERROR:
        raise InvariantBroken(f"a question: {reply.error}")
