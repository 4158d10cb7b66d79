"""`python -m tools.greetings`: learn from the sentences here whose words a greeting is like.

After each change of them; a test tells when it was forgotten. They stand in no test and in no clip
of the bench. Also told is how well it would do on sentences that it has not learned from: each
tenth of them, judged by what is learned from the others.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agent.answering.greetings import LEARNED, SURE, Kind
from speech.offline.meaning import Embeddings, Meaning

PEOPLE = "people"
PENALTY = 1e-4
"""Of the weights' square; 1e-3 and 3e-4 knew as many of what was left out."""
STEPS = 2_000
PARTS = 10

Floats = npt.NDArray[np.float64]


def sentences(name: str) -> list[str]:
    """Return the lines of a file here."""
    return Path(__file__).with_name(f"{name}.txt").read_text().splitlines()


def digest() -> str:
    """Return what changes with any of the sentences, and with how it is learned."""
    texts = [sentences(each) for each in (PEOPLE, *Kind)]
    return hashlib.sha256(repr((PENALTY, STEPS, texts)).encode()).hexdigest()


def regression(people: Floats, machines: Floats) -> tuple[Floats, float]:
    """Return weights and bias of the log-odds of a machine; both sides weigh the same."""
    vectors = np.vstack([people, machines])
    mean = vectors.mean(0)
    vectors -= mean  # what all embeddings share would take the place of what sets them apart
    is_machine = np.r_[np.zeros(len(people)), np.ones(len(machines))]
    share = np.where(is_machine == 1, 0.5 / len(machines), 0.5 / len(people))
    weights, bias = np.zeros(vectors.shape[1]), 0.0
    widened = np.sqrt(share)[:, None] * np.c_[vectors, np.ones(len(vectors))]
    steepest = np.linalg.norm(widened, 2) ** 2 / 4 + PENALTY
    for _ in range(STEPS):
        missed = share * (1 / (1 + np.exp(-(vectors @ weights + bias))) - is_machine)
        weights -= (vectors.T @ missed + PENALTY * weights) / steepest
        bias -= missed.sum() / steepest
    return weights, bias - float(mean @ weights)


def left_out(people: Floats, machines: Floats) -> tuple[Floats, Floats]:
    """Return the log-odds of each sentence by what is learned without its tenth."""
    odds = np.zeros(len(people)), np.zeros(len(machines))
    for part in range(PARTS):
        in_part = [np.arange(len(each)) % PARTS == part for each in (people, machines)]
        weights, bias = regression(people[~in_part[0]], machines[~in_part[1]])
        for told, vectors, tenth in zip(odds, (people, machines), in_part, strict=True):
            told[tenth] = vectors[tenth] @ weights + bias
    return odds


def main() -> None:
    """Write the file."""
    meaning = Meaning.load()
    if not isinstance(meaning, Embeddings):
        sys.exit("this machine has no embeddings")
    vectors = {
        name: np.stack([meaning.vector(each) for each in sentences(name)]).astype(np.float64)
        for name in (PEOPLE, *Kind)
    }
    # Who asks for a name may be a receptionist: nothing is learned from that.
    people = vectors[PEOPLE]
    machines = np.vstack([vectors[kind] for kind in Kind if kind is not Kind.SCREENING])
    found = [regression(people, machines)]
    for kind in Kind:
        others = np.vstack([vectors[other] for other in Kind if other is not kind])
        found.append(regression(others, vectors[kind]))
    weights, biases = (np.array(each, np.float32) for each in zip(*found, strict=True))
    np.savez(LEARNED, weights=weights, biases=biases, of=np.array(digest()))
    of_people, of_machines = left_out(people, machines)
    print(f"people taken for machines: {(of_people >= SURE).sum()} of {len(people)}")
    print(f"machines known: {(of_machines >= SURE).sum()} of {len(machines)}")


if __name__ == "__main__":
    main()
