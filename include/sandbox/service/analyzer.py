"""How the sandbox cuts text into search terms. Its settings are the ANALYZER_CONF pin."""

from __future__ import annotations

import re

from switchover.indexing.chunking import SENTENCE_END
from switchover.pins import digest

_WORD = re.compile(r"__\w+?__|[a-z0-9]+(?:_[a-z0-9]+)*")
_STOP = frozenset(
    """a an and any are as at be because been but by can could did do does for from had has have how i if in
    into is it its may might must not of on one or other out so such than that the their them then there these
    they this to use used using was were what when where which while who why will with would you
    your""".split()  # noqa: SIM905 - readable as words
)
# Words of the language are not noise here, although they are in English.
_KEYWORDS = frozenset({"and", "as", "for", "from", "if", "in", "is", "not", "or", "while", "with"})
_QUOTES = frozenset({'"', "'", "`"})
_NAMED = re.compile(r"\s+(?:statement|clause|loop|keyword|operator|block)")
_SUFFIXES = (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("es", "e"), ("s", ""))

CONF = digest(
    {
        "word": _WORD.pattern,
        "sentence": SENTENCE_END.pattern,
        "stop": sorted(_STOP - _KEYWORDS),
        "suffixes": _SUFFIXES,
        "keywords": sorted(_KEYWORDS),
        "named": _NAMED.pattern,
    }
)


def terms(text: str) -> list[str]:
    """Search terms in order: lower case, without stop words, with plain suffixes cut.

    A keyword of the language that is also a stop word counts only where it is meant as one: quoted, or
    before a word such as "statement".
    """
    lowered = text.lower()
    found = []
    for match in _WORD.finditer(lowered):
        word = match.group()
        if word in _STOP:
            if word in _KEYWORDS and (
                lowered[max(0, match.start() - 1) : match.start()] in _QUOTES or _NAMED.match(lowered, match.end())
            ):
                found.append(f'"{word}"')
        else:
            found.append(_stem(word))
    return found


def _stem(word: str) -> str:
    for suffix, instead in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: len(word) - len(suffix)] + instead
    return word
