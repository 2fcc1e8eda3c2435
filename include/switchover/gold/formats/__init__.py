"""Formats of gold sets by kind. Adding one is one file and one line here; an installed package adds one by an entry
point of the group ``switchover.gold``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from switchover.gold.formats.base import GoldFormat, Raw
from switchover.registry import kinds, one_of

__all__ = ["DEFAULT", "KINDS", "AnyFormat", "GoldFormat", "Raw"]

KINDS = kinds(
    "switchover.gold",
    (
        "switchover.gold.formats.own:OwnFormat",
        "switchover.gold.formats.beir:BeirFormat",
        "switchover.gold.formats.ragas:RagasFormat",
        "switchover.gold.formats.llama_index:LlamaIndexFormat",
        "switchover.gold.formats.langfuse:LangfuseFormat",
        "switchover.gold.formats.langsmith:LangSmithFormat",
        "switchover.gold.formats.promptfoo:PromptfooFormat",
        "switchover.gold.formats.mapped:MappedFormat",
    ),
)
#: The format of a plan that names none.
DEFAULT = KINDS["own"]

if TYPE_CHECKING:
    AnyFormat = GoldFormat
else:
    AnyFormat = one_of(KINDS, default="mapped")
