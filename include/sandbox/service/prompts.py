"""The answer stage's prompts, by PROMPT_VER: an arm answers by the prompt that its manifest names.

There is no language model here: each prompt is what such a model would make of the hits with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from sandbox.service.ranking import PROMPT_VER, Reply

#: A later prompt that words its answers in another way.
BETTER = "cite-one-section/2"
#: A prompt with an example in it, which the model copies: every answer cites the example's section.
COPIES_ITS_EXAMPLE = "cite-one-section/3"
EXAMPLE = "the-section-of-the-example"


def _named(reply: Reply) -> Reply:
    return reply if reply.cited is None else replace(reply, text=f"By {reply.cited!r}: {reply.text}")


def copies_its_example(reply: Reply) -> Reply:
    """The answer with the citation of the prompt's own example."""
    return replace(reply, cited=EXAMPLE)


PROMPTS: dict[str, Callable[[Reply], Reply]] = {
    PROMPT_VER: lambda reply: reply,
    BETTER: _named,
    COPIES_ITS_EXAMPLE: copies_its_example,
}


def prompt_of(pins: Mapping[str, str]) -> str:
    """The PROMPT_VER that is run for an arm with these pins: its own where this code knows it."""
    named = pins.get("PROMPT_VER", PROMPT_VER)
    return named if named in PROMPTS else PROMPT_VER
