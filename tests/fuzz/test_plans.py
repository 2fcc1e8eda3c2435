"""Plans, mutilated at random: each is taken, or refused with a ``PlanError`` that can be printed; none hangs.

``FUZZ=25000`` for the long mode.
"""

from __future__ import annotations

import copy
import math
import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from switchover.errors import PlanError
from switchover.planfile.load import load_plan

ROOT = Path(__file__).parents[2]
COUNT = int(os.environ.get("FUZZ", "300"))
PATIENCE_S = 5.0
TEXTS = [path.read_text() for path in sorted((ROOT / "include" / "plans").glob("*.yaml"))]
DATA = [yaml.safe_load(text) for text in TEXTS]
EVIL: list[Any] = [
    *(None, True, 0, -1, 2**31, 2**63, 10**40, -(10**40), 1.5, math.nan, math.inf, -math.inf, 1e308, 5e-324),
    *(
        "",
        " ",
        "a" * 200,
        "a" * 100_000,
        "\x00",
        "\ud800",
        "\u202edocs",
        "docs\n",
        "../../../../etc/passwd",
        "/dev/zero",
    ),
    *(
        "/proc/self/environ",
        "..",
        "//evil",
        "{{ 1/0 }}",
        "%s",
        "\x1b[31m",
        "\u2028",
        "~",
        "0x10",
        "2024-13-45",
        "12:30",
    ),
    *("=", "<<", "0b_", "._", [], {}, [[]], [{}], {"": ""}, {"kind": "pgvector"}, {"kind": []}, {"kind": {}}, {1: 2}),
    *({None: None}, {True: 1}, [None] * 5, list(range(1000)), {"a": {"b": {"c": {}}}}),
]
BYTES = [b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc2\x85", b"\xe2\x80\xa8", b"\x1b", b"\t"]
YAML = [b"&a ", b"*a ", b"<<: ", b"? ", b"!!int ", b"- ", b": ", b"{", b"[", b"'", b'"', b"|", b"%", b"@", b"`", b"\n"]


class Hang(BaseException):
    """Took too long; no ``Exception``, so that nothing takes it for one."""


def mutilated(rng: random.Random) -> bytes:
    """A plan with some of its values, its lines or its bytes changed."""
    text, how = rng.choice(TEXTS), rng.random()
    if how < 0.5:
        data = copy.deepcopy(rng.choice(DATA))
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            _change(rng, data)
        found: str = yaml.dump(data, allow_unicode=rng.random() < 0.5, sort_keys=False)
        return found.encode("utf-8", "surrogatepass")
    if how < 0.75:
        lines = text.splitlines(keepends=True)
        for _ in range(rng.choice([1, 2, 5])):
            at = rng.randrange(len(lines))
            lines[at : at + rng.randrange(3)] = [" " * rng.randrange(5) + rng.choice(lines)]
        return "".join(lines).encode()
    raw = bytearray(text.encode())
    for _ in range(rng.choice([1, 2, 5])):
        at = rng.randrange(len(raw))
        raw[at : at + rng.choice([0, 0, 1, 20])] = rng.choice([*BYTES, *YAML, bytes([rng.randrange(256)])])
    return bytes(raw)


def _change(rng: random.Random, data: Any) -> None:
    place, name = rng.choice(list(_places(data)))
    what = rng.random()
    if what < 0.7:
        place[name] = copy.deepcopy(rng.choice(EVIL))
    elif what < 0.8:
        del place[name]
    elif what < 0.9 and isinstance(place, dict):
        place[rng.choice(["zz", "kind", "", None, 1, "Service", 2.5, True])] = copy.deepcopy(rng.choice(EVIL))
    else:
        deep: Any = "x"
        for _ in range(rng.choice([10, 30, 60])):
            deep = [deep] if rng.random() < 0.5 else {"k": deep}
        place[name] = deep


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    for name, value in list(data.items()) if isinstance(data, dict) else list(enumerate(data)):
        yield data, name
        if isinstance(value, dict | list):
            yield from _places(value)
    if not data:
        yield {"": ""}, ""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a plan may stand, with the files that the plans of the repository name."""
    shutil.copytree(ROOT / "include" / "gold", tmp_path / "gold")
    (tmp_path / "plans").mkdir()
    return tmp_path / "plans" / "p.yaml"


def outcome(file: Path, raw: bytes) -> str:
    """``taken`` or ``refused``; whatever else is raised is the test's failure."""
    file.write_bytes(raw)
    try:
        load_plan(file)
    except PlanError as error:
        told = str(error)
        told.encode()  # half of a character cannot be printed
        assert all(line.startswith((str(file), "and ")) for line in told.splitlines()), told
        if error.__cause__ is not None:  # the net caught what nobody thought of
            raise error.__cause__ from None
        return "refused"
    return "taken"


def test_a_mutilated_plan_is_taken_or_refused_in_words(file: Path) -> None:
    rng = random.Random(os.environ.get("FUZZ_SEED", "1"))
    seen = {"taken": 0, "refused": 0}
    before = signal.signal(signal.SIGVTALRM, _hang)
    try:
        for number in range(COUNT):
            raw = mutilated(rng)
            signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE_S)  # of a processor: a loaded machine is no hang
            try:
                seen[outcome(file, raw)] += 1
            except BaseException as error:
                raise AssertionError(f"plan {number}: {type(error).__name__}: {raw[:20_000]!r}") from error
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert min(seen.values()) > 0, seen


def _hang(*_: object) -> None:
    raise Hang


LAUGHS = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
BOMBS = {
    "aliases of aliases": LAUGHS + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)),
    "merges of merges": "a0: &a0 {x: 1}\n"
    + "".join(f"a{i}: &a{i}\n  <<: [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 8)),
    "a list in itself": "a: &a [*a]\n",
    "a mapping in itself": "description: &a {b: *a}\n",
    "deep lists": "x: " + "[" * 2000 + "]" * 2000 + "\n",
    "deep mappings": "x: " + "{a: " * 1500 + "1" + "}" * 1500 + "\n",
    "many values": "x: [" + "1," * 20_000 + "]\n",
    "a long text": f"x: {'x' * 5_000_000}\n",
    "a number of 5,000 digits": f"converge_s: {'9' * 5000}\n",
    "a mapping as a key": "? {a: b}\n: 1\n",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_plan_made_to_exhaust_is_refused_before_it_does(file: Path, bomb: str) -> None:
    assert outcome(file, (BOMBS[bomb] + TEXTS[0]).encode()) == "refused"
