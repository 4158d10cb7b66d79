"""`python -m tools.samples`: make the embeddings of the greetings that others are compared with.

After each change of the sentences in `agent/answering/greetings.py`; a test tells when it was
forgotten.
"""

from __future__ import annotations

import sys

import numpy as np

from agent.answering.greetings import EMBEDDED, SAMPLES
from speech.offline.meaning import Embeddings, Meaning


def main() -> None:
    """Write the file."""
    meaning = Meaning.load()
    if not isinstance(meaning, Embeddings):
        sys.exit("this machine has no embeddings")
    np.save(EMBEDDED, np.stack([meaning.vector(each) for each in SAMPLES]).astype(np.float16))


if __name__ == "__main__":
    main()
