"""How the tries that may be under way at a time are shared out: by organization, then by receiver.

An organization may begin a try while it has fewer under way than are free for everybody, and one of
its receivers while it has fewer than that leaves the organization (a dynamic threshold, as switches
share their memory: Choudhury and Hahne, 1998). So whoever is alone gets half, many get equal parts,
and whoever comes next finds some free, however many receivers of others hang.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection


class Shares:
    """Counts the tries that are under way; `most` of all, `per_receiver` of one."""

    def __init__(self, *, most: int, per_receiver: int):
        self._most = most
        self._per_receiver = per_receiver
        self._organizations: Counter[str] = Counter()
        self._receivers: Counter[tuple[str, str]] = Counter()

    @property
    def free(self) -> int:
        """How many may still be begun by all together."""
        return self._most - self._organizations.total()

    def copy(self) -> Shares:
        """Return shares that may be given out without being taken."""
        made = Shares(most=self._most, per_receiver=self._per_receiver)
        made._organizations.update(self._organizations)
        made._receivers.update(self._receivers)
        return made

    def take(self, organization_id: str, receiver: str) -> bool:
        """Return whether a try may begin; it is counted then."""
        may = not self._held_back(organization_id, receiver)
        if may:
            self.count_in(organization_id, receiver)
        return may

    def count_in(self, organization_id: str, receiver: str) -> None:
        """Count a try that begins, because it was claimed."""
        self._organizations[organization_id] += 1
        self._receivers[organization_id, receiver] += 1

    def give_back(self, organization_id: str, receiver: str) -> None:
        """Count a try that has ended."""
        self._organizations -= Counter([organization_id])
        self._receivers -= Counter([(organization_id, receiver)])

    def count(self, organization_id: str, receiver: str | None = None) -> int:
        """Return how many are under way, to one receiver or to all of the organization's."""
        if receiver is None:
            return self._organizations[organization_id]
        return self._receivers[organization_id, receiver]

    def full_organizations(self) -> Collection[str]:
        """Return those that may begin nothing now."""
        return [each for each in self._organizations if self._room(each) <= 0]

    def full_receivers(self) -> Collection[tuple[str, str]]:
        """Return those, with their organizations, that may get nothing now."""
        return [each for each in self._receivers if self._held_back(*each)]

    def _held_back(self, organization_id: str, receiver: str) -> bool:
        room = min(self._room(organization_id), self._per_receiver)
        return self._receivers[organization_id, receiver] >= room

    def _room(self, organization_id: str) -> int:
        return self.free - self._organizations[organization_id]
