"""A link opens one file of one recording, for a while."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from control_plane.domain.errors import NotAllowed
from control_plane.domain.recording import RecordingKind
from control_plane.keys.tokens import Scope, TokenSigner
from control_plane.recordings.links import RecordingLinks

pytestmark = pytest.mark.unit

NOW = 1_800_000_000.0


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def parts(url: str) -> tuple[str, str, str, str]:
    query = {name: value for name, [value] in parse_qs(urlsplit(url).query).items()}
    attempt_id = urlsplit(url).path.removeprefix("/recording/")
    return attempt_id, query["kind"], query["expires"], query["signature"]


@pytest.mark.parametrize("kind", list(RecordingKind))
def test_it_opens_until_its_end(kind: RecordingKind) -> None:
    clock = Clock()
    links = RecordingLinks(b"k", "https://api", lifetime=timedelta(hours=2), clock=clock)
    url = links.url("id", kind)
    assert url.startswith("https://api/recording/id?")
    attempt_id, *rest = parts(url)
    links.check(attempt_id, *rest)
    clock.now += 7_199
    links.check(attempt_id, *rest)
    clock.now += 1
    with pytest.raises(NotAllowed, match=r"ended at 2027-01-15T10:00:00Z.*read the call again"):
        links.check(attempt_id, *rest)


def test_nothing_of_it_can_be_changed() -> None:
    links = RecordingLinks(b"k", "", clock=Clock())
    good = parts(links.url("id", RecordingKind.STEREO))
    links.check(*good)
    for at, other in (
        (0, "other"),
        (1, "mix"),
        (1, "quad"),
        (2, str(int(good[2]) + 1)),
        (2, ""),
        (2, "soon"),
        (3, good[3][:-1]),
        (3, ""),
        (3, "é" * 64),
    ):
        changed = [*good]
        changed[at] = other
        with pytest.raises(NotAllowed, match="not made for this recording"):
            links.check(*changed)


def test_each_installation_has_its_own_key_and_it_signs_nothing_else() -> None:
    one, other = TokenSigner(b"1" * 64), TokenSigner(b"2" * 64)
    hour = timedelta(hours=1)
    link = parts(RecordingLinks.open(one, "", lifetime=hour).url("id", RecordingKind.STEREO))
    RecordingLinks.open(TokenSigner(b"1" * 64), "", lifetime=hour).check(*link)
    with pytest.raises(NotAllowed):
        RecordingLinks.open(other, "", lifetime=hour).check(*link)
    forged = TokenSigner(one.derived("recording links"))
    token = forged.issue(Scope.SESSION, "id", ttl=hour)
    with pytest.raises(Exception, match="not valid"):
        one.verify(token, Scope.SESSION)
