"""The samples of words and sounds: exact sums, loops without a gap, places that are kept."""

from __future__ import annotations

import numpy as np
import pytest

from agent.audio.mixing import Loop, Mixer, fade_out, mixed

pytestmark = pytest.mark.unit


def clip(*samples: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.array(samples, dtype=np.int16)


def pcm(*samples: int) -> bytes:
    return clip(*samples).tobytes()


def background(*samples: int, volume: float = 1.0) -> Loop:
    return Loop(clip(*samples), volume, under_words=True)


def test_a_clip_is_heard_at_its_volume_and_again_without_a_gap() -> None:
    mixer = Mixer()
    mixer.add(background(100, 200, -300, volume=0.5))
    assert mixer.next(4) == pcm(50, 100, -150, 50)
    assert mixer.next(4) == pcm(100, -150, 50, 100)


def test_a_clip_shorter_than_a_frame_repeats_within_it() -> None:
    mixer = Mixer()
    mixer.add(background(1, 2))
    assert mixer.next(5) == pcm(1, 2, 1, 2, 1)


def test_words_are_added_to_the_background_sample_by_sample() -> None:
    mixer = Mixer()
    mixer.add(background(10, 20, 30, 40, volume=0.25))
    assert mixer.beside(pcm(1_000, -1_000, 0, 7)) == pcm(1_002, -995, 8, 17)  # half to even


def test_what_is_too_loud_is_held_at_the_limit_and_does_not_wrap() -> None:
    mixer = Mixer()
    mixer.add(background(30_000, -30_000))
    assert mixer.beside(pcm(30_000, -30_000)) == pcm(32_767, -32_768)


def test_two_sides_are_added_and_held_at_the_limit() -> None:
    sides = clip(1, -2, 30_000, -30_000), clip(10, 20, 30_000, -30_000)
    assert mixed(*sides).tolist() == [11, 18, 32_767, -32_768]


def test_two_sounds_are_heard_at_once() -> None:
    mixer = Mixer()
    mixer.add(background(10, 20))
    mixer.add(Loop(clip(1, 2, 3), 1.0, under_words=False))
    assert mixer.next(3) == pcm(11, 22, 13)


def test_words_end_what_may_not_be_heard_under_them() -> None:
    mixer = Mixer()
    mixer.add(background(10))
    mixer.add(Loop(clip(1), 1.0, under_words=False))
    assert mixer.beside(pcm(100)) == pcm(110)
    assert mixer.next(1) == pcm(10)


def test_words_alone_are_left_as_they_are() -> None:
    mixer = Mixer()
    assert not mixer.audible
    assert mixer.beside(pcm(5, -5)) == pcm(5, -5)


def test_what_was_taken_back_comes_again() -> None:
    mixer = Mixer()
    mixer.add(background(1, 2, 3, 4, 5))
    mixer.next(7)
    mixer.take_back(3)
    assert mixer.next(4) == pcm(5, 1, 2, 3)


def test_a_sound_that_was_not_sent_yet_still_begins_at_its_start() -> None:
    mixer = Mixer()
    mixer.add(background(1, 2, 3))
    mixer.next(2)
    mixer.add(Loop(clip(100, 200, 300), 1.0, under_words=False))
    mixer.take_back(2)
    assert mixer.next(2) == pcm(101, 202)


def test_a_sound_played_again_begins_at_its_start_and_is_heard_once() -> None:
    mixer = Mixer()
    loop = background(1, 2, 3)
    mixer.add(loop)
    mixer.next(2)
    mixer.add(loop)
    assert mixer.next(1) == pcm(1)
    assert mixer.remove(loop)
    assert not mixer.audible
    assert not mixer.remove(loop)


def test_a_voice_that_is_broken_off_fades() -> None:
    loud = np.full(960, 10_000, np.int16)
    faded = np.frombuffer(fade_out(loud.tobytes()), np.int16)
    assert len(faded) == 960
    assert faded[0] == 10_000
    assert abs(int(faded[480]) - 5_000) < 50
    assert faded[-1] < 50
    assert (np.diff(faded) <= 0).all()
    assert fade_out(b"") == b""
