"""What is said first is given to the voice as soon as it can be spoken, not a sentence later."""

from __future__ import annotations

import re
from typing import Any

from livekit.agents import tokenize
from livekit.agents.tokenize.token_stream import BufferedSentenceStream
from livekit.agents.tokenize.tokenizer import SentenceStream

LEAST = 12
"""Characters of the first piece; a lone "Yes," would be followed by a gap."""
_CLAUSE_END = re.compile(r"[,;:–—](?=\s)")

_Piece = tuple[str, int, int]
"""Text, and where it begins and ends in what it was cut from."""


class Clauses(tokenize.SentenceTokenizer):
    """Sentences, but the first piece ends with the first clause already."""

    def __init__(self) -> None:
        self._sentences = tokenize.blingfire.SentenceTokenizer(min_sentence_len=LEAST)

    def tokenize(self, text: str, *, language: str | None = None) -> list[str]:
        """Return the pieces of a whole text."""
        return [piece for piece, *_ in self._pieces(text, begun=False)]

    def stream(self, *, language: str | None = None) -> SentenceStream:
        """Return a stream that gives pieces while the text still comes."""
        begun = False

        def split(text: str) -> list[Any]:
            nonlocal begun
            pieces = self._pieces(text, begun=begun)
            # The stream gives the first of several away, and asks again with what is left.
            begun = begun or len(pieces) > 1
            return list(pieces)

        return BufferedSentenceStream(tokenizer=split, min_token_len=1, min_ctx_len=LEAST)

    def _pieces(self, text: str, *, begun: bool) -> list[_Piece]:
        pieces = []
        end = 0
        for sentence in self._sentences.tokenize(text):
            start = text.index(sentence, end)
            end = start + len(sentence)
            pieces.append((sentence, start, end))
        if pieces and not begun and (first := _first_clause(pieces[0])) is not None:
            _, start, end = pieces[0]
            cut = start + len(first)
            pieces[:1] = [(first, start, cut), (text[cut:end].strip(), cut, end)]
        return pieces


def _first_clause(sentence: _Piece) -> str | None:
    text, *_ = sentence
    ends = (match.end() for match in _CLAUSE_END.finditer(text))
    end = next((end for end in ends if end >= LEAST and text[end:].strip()), None)
    return text[:end] if end is not None else None
