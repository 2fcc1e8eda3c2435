"""Corpora by kind: the source texts that gold spans point into. Adding one is one file and one line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from switchover.gold.corpus.base import Blue, CorpusSpec, Documents
from switchover.gold.corpus.file import FileCorpus
from switchover.gold.corpus.index import IndexCorpus
from switchover.gold.corpus.prefix import PrefixCorpus
from switchover.gold.corpus.table import TableCorpus
from switchover.registry import kind_of, one_of

__all__ = ["KINDS", "AnyCorpus", "Blue", "CorpusSpec", "Documents"]

KINDS: dict[str, type[CorpusSpec]] = {
    kind_of(spec): spec for spec in (TableCorpus, FileCorpus, PrefixCorpus, IndexCorpus)
}

if TYPE_CHECKING:
    AnyCorpus = CorpusSpec
else:
    AnyCorpus = one_of(KINDS)
