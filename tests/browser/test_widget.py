"""The widget in a real browser: talked with, judged from the page and from the recording."""

from __future__ import annotations

import asyncio
import os
import wave
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from livekit import api
from playwright.sync_api import BrowserContext, Page, expect

from control_plane.keys.join_tokens import JoinTokens
from speech.offline.voice import SAMPLE_RATE, Speaker
from tests.browser.conftest import Browsers
from tests.browser.embedding import Site
from tests.listener.phrase_bank import ACCEPT, PhraseBank
from tests.system.far_end import RATE as PHONE_RATE
from tests.system.far_end import phone, render
from tests.system.platform import Platform, wait_for
from tests.system.sound import channels
from tests.system.test_conversation import number_at

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

GREETING = "How can I help you today?"
ASK_HOURS = "What are your opening hours?"
HOURS = "We are open Monday to Friday from nine to five."
QUESTIONS = (ASK_HOURS, "How much does a cleaning cost?", "Is there parking?", "Where are you?")
QUIET_FIRST_S, QUIET_AFTER_S = 9.0, 20.0
"""The microphone speaks once the greeting is over, and then no more."""
YES = "--use-fake-ui-for-media-stream"
TALKING = "You can speak now."
JUDGED_RATE = 16_000
LIMIT_MS = 20_000.0
NONE_THERE = """() => {
  const missing = new DOMException("", "NotFoundError");
  navigator.mediaDevices.getUserMedia = () => Promise.reject(missing);
}"""
"""A browser that finds no microphone: Chromium's fake one cannot be taken away."""
COLLEAGUE_SAYS = "Hello, this is the front desk, how can I help you today?"
SPEAKS_AFTER_S = 22.0
"""When the colleague is on the line."""
LOUDEST = """async () => {
  const context = new AudioContext();
  let most = 0;
  const all = document.querySelector("offhook-call").shadowRoot.querySelectorAll("audio");
  const taps = [...all].map((each) => {
    const tap = context.createAnalyser();
    context.createMediaStreamSource(each.srcObject).connect(tap);
    return tap;
  });
  for (let turn = 0; turn < 60; turn++) {
    await new Promise((then) => setTimeout(then, 50));
    for (const tap of taps) {
      const samples = new Float32Array(tap.fftSize);
      tap.getFloatTimeDomainData(samples);
      most = Math.max(most, ...samples);
    }
  }
  await context.close();
  return most;
}"""
"""What the page plays, of 1, within three seconds."""
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def assistant(platform: Platform) -> str:
    """Return the receptionist, which records."""
    [found] = [each for each in platform.api.get("/assistant")["assistants"] if each["is_default"]]
    platform.api.patch(f"/assistant/{found['id']}", {"recording_enabled": True})
    return str(found["id"])


def public_key(platform: Platform, site: Site, assistant: str, **fields: Any) -> dict[str, Any]:
    """Return a new public key for the site."""
    body = {"name": "k", "allowed_origins": [site.origin], "assistant_ids": [assistant], **fields}
    made: dict[str, Any] = platform.api.post("/public-keys", body)
    return made


def sessions(platform: Platform, key: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what was started with a key, newest first."""
    page = platform.api.get("/session", metadata=f"public_key:{key['id']}")
    found: list[dict[str, Any]] = page["sessions"]
    return found


def microphone(
    speaker: Speaker, folder: Path, text: str, *, quiet_first_s: float = QUIET_FIRST_S
) -> str:
    """Return the switch for a microphone that is silent, says `text` once, and is silent."""
    spoken = np.frombuffer(b"".join(speaker.stream(text)) if text else b"", np.int16)
    before, after = (
        np.zeros(int(s * SAMPLE_RATE), np.int16) for s in (quiet_first_s, QUIET_AFTER_S)
    )
    path = folder / "microphone.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.concatenate([before, spoken, after]).tobytes())
    return f"--use-file-for-fake-audio-capture={path}%noloop"


def opened(context: BrowserContext, url: str) -> Page:
    """Return a page, on which nothing that its policy forbids may be tried."""
    page = context.new_page()
    page.violations = []  # type: ignore[attr-defined]
    page.on(
        "console",
        lambda said: (
            page.violations.append(said.text)  # type: ignore[attr-defined]
            if "Content Security Policy" in said.text
            else None
        ),
    )
    page.goto(url)
    return page


def serious(page: Page, axe: str) -> list[str]:
    """Return what axe finds serious on the page, with where."""
    page.evaluate(axe)
    found = page.evaluate("axe.run()")
    return [
        f"{each['id']}: {node['target']} {node['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def look(page: Page, name: str) -> None:
    """Keep screenshots at two widths, light and dark, where OFFHOOK_TEST_SCREENSHOTS says."""
    folder = os.environ.get("OFFHOOK_TEST_SCREENSHOTS")
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), size
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            if folder:
                page.screenshot(
                    path=f"{folder}/{name}-{size['width']}-{scheme}.png", full_page=True
                )
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]


def test_a_spoken_conversation_until_the_tab_is_closed(
    platform: Platform,
    site: Site,
    assistant: str,
    speaker: Speaker,
    browsers: Browsers,
    axe: str,
    tmp_path: Path,
) -> None:
    key = public_key(platform, site, assistant)
    context = browsers.launch(YES, microphone(speaker, tmp_path, ASK_HOURS)).new_context()
    page = opened(context, site.page(key["key"], assistant))
    status, captions = page.get_by_role("status"), page.get_by_role("log")
    assert serious(page, axe) == []
    look(page, "idle")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Start talking")).to_be_focused()
    page.keyboard.press("Enter")
    expect(status).to_have_text(TALKING, timeout=LIMIT_MS)
    expect(page.get_by_role("button", name="End", exact=True)).to_be_focused()
    expect(page.get_by_text("This conversation is recorded.")).to_be_visible()
    expect(captions.get_by_text(GREETING)).to_be_visible(timeout=LIMIT_MS)
    expect(page.get_by_text("Connection: good")).to_be_visible(timeout=LIMIT_MS)
    page.get_by_text("Devices").click()
    expect(page.get_by_label("Microphone")).to_be_visible()
    page.get_by_text("Devices").click()
    expect(captions.get_by_text(ASK_HOURS)).to_be_visible(timeout=LIMIT_MS)
    expect(captions.get_by_text(HOURS)).to_be_visible(timeout=LIMIT_MS)
    look(page, "talking")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert serious(page, axe) == []
    [began] = [row["id"] for row in sessions(platform, key)]
    wait_for(
        lambda: platform.api.get(f"/session/{began}")["session"],
        lambda seen: HOURS in [item["content"] for item in seen["transcript"]],
        15.0,
    )
    page.get_by_role("button", name="Mute", exact=True).click()
    expect(page.get_by_role("button", name="Unmute")).to_be_visible()
    assert page.violations == []  # type: ignore[attr-defined]
    page.close(run_before_unload=True)
    seen = wait_for(
        lambda: platform.api.get(f"/session/{began}")["session"],
        lambda each: each["recording_url"] is not None,
        30.0,
    )
    assert (seen["status"], seen["ended_by"], seen["end_reason"]) == ("completed", "user", None)
    bank = PhraseBank([GREETING, *QUESTIONS, HOURS], decoys=())
    person, agent = channels(platform, seen, rate=JUDGED_RATE)
    # What browsers do to a microphone's sound takes from a voice what the ear would ask for.
    assert max(QUESTIONS, key=lambda each: bank.best_in(person, JUDGED_RATE, each)) == ASK_HOURS
    for phrase in (GREETING, HOURS):
        assert bank.best_in(agent, JUDGED_RATE, phrase) > ACCEPT


def transcript_of(platform: Platform, session: str) -> list[tuple[str, str]]:
    """Return who said what in a session."""
    seen = platform.api.get(f"/session/{session}")["session"]
    return [(item["role"], item["content"]) for item in seen["transcript"]]


def test_what_is_typed_is_answered_aloud_in_the_same_conversation(
    platform: Platform,
    site: Site,
    assistant: str,
    speaker: Speaker,
    browsers: Browsers,
    axe: str,
    tmp_path: Path,
) -> None:
    key = public_key(platform, site, assistant)
    context = browsers.launch(YES, microphone(speaker, tmp_path, "")).new_context()
    page = opened(context, site.page(key["key"], assistant))
    captions, box = page.get_by_role("log"), page.get_by_role("textbox", name="Type a message")
    mine = captions.locator("[data-side=person]")
    expect(box).to_be_hidden()
    page.get_by_role("button", name="Start talking").press("Enter")
    expect(captions.get_by_text(GREETING)).to_be_visible(timeout=LIMIT_MS)
    [began] = [row["id"] for row in sessions(platform, key)]
    transcript = partial(transcript_of, platform, began)
    wait_for(transcript, lambda said: GREETING in " ".join(map(str, said)), 15.0)
    page.keyboard.press("Shift+Tab")  # from the button that ends it, over the one that mutes
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    expect(box).to_be_focused()
    page.keyboard.type(ASK_HOURS)
    page.keyboard.press("Enter")
    expect(mine.get_by_text(ASK_HOURS)).to_be_visible(timeout=LIMIT_MS)
    expect(captions.get_by_text(HOURS)).to_be_visible(timeout=LIMIT_MS)
    expect(box).to_have_value("")
    expect(box).to_be_focused()
    look(page, "typing")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert serious(page, axe) == []
    said = wait_for(transcript, lambda said: ("assistant", HOURS) in said, 15.0)
    assert [words for role, words in said if role == "user"] == [ASK_HOURS]
    assert said.index(("user", ASK_HOURS)) < said.index(("assistant", HOURS))
    trouble = page.get_by_role("alert")
    for number in range(1, 10):
        page.keyboard.type(f"Message {number}.")
        page.keyboard.press("Enter")
        expect(box).to_have_value("")
    page.keyboard.type("One too many.")
    page.keyboard.press("Enter")
    expect(trouble).to_contain_text("many messages")
    expect(box).to_have_value("One too many.")
    page.get_by_role("button", name="End", exact=True).click()
    expect(page.get_by_role("status")).to_have_text("The conversation is over.")
    expect(box).to_be_hidden()
    expect(trouble).to_contain_text("was not sent")
    assert page.violations == []  # type: ignore[attr-defined]
    seen = wait_for(
        lambda: platform.api.get(f"/session/{began}")["session"],
        lambda each: each["recording_url"] is not None,
        30.0,
    )
    typed = [words for role, words in transcript() if role == "user"]
    assert typed == [ASK_HOURS, *(f"Message {number}." for number in range(1, 10))]
    bank = PhraseBank([GREETING, HOURS], decoys=())
    _, agent = channels(platform, seen, rate=JUDGED_RATE)
    assert bank.best_in(agent, JUDGED_RATE, HOURS) > ACCEPT


def test_a_person_who_asks_for_a_colleague_talks_to_one(
    platform: Platform, site: Site, speaker: Speaker, browsers: Browsers, tmp_path: Path
) -> None:
    """They are heard by each other once the agent is gone: in the page, and by the telephone."""
    colleague = {"say": render(speaker, tmp_path, COLLEAGUE_SAYS)}
    script = [{"stay": 1.0}, *[colleague, {"stay": 0.5}] * 4, {"stay": 8.0}, {"hangup": True}]
    with phone(tmp_path, script) as far_end:
        body = {
            "name": "Reception",
            "prompt": "You are the receptionist of a clinic.",
            "first_sentence": GREETING,
            "first_sentence_mode": "static",
            "from_phone_number": number_at(platform, "widget", far_end.port),
            "human_transfer_mode": "cold",
            "transfer_phone_number": "+12025550142",
        }
        assistant = platform.api.post("/assistant", body)["assistant"]["id"]
        key = public_key(platform, site, assistant)
        said = microphone(speaker, tmp_path, ASK_HOURS, quiet_first_s=SPEAKS_AFTER_S)
        page = opened(browsers.launch(YES, said).new_context(), site.page(key["key"], assistant))
        page.get_by_role("button", name="Start talking").press("Enter")
        captions = page.get_by_role("log")
        expect(captions.get_by_text(GREETING)).to_be_visible(timeout=LIMIT_MS)
        box = page.get_by_role("textbox", name="Type a message")
        box.fill("I want to speak to a human.")
        box.press("Enter")
        status = page.get_by_role("status")
        expect(status).to_have_text("You are talking with a colleague.", timeout=LIMIT_MS)
        expect(box).to_be_hidden()
        expect(page.get_by_text("This conversation is recorded.")).to_be_hidden()
        assert page.evaluate(LOUDEST) > 0.02
        look(page, "colleague")
        expect(status).to_have_text("The conversation is over.", timeout=2 * LIMIT_MS)
        heard = far_end.heard()
    assert page.violations == []  # type: ignore[attr-defined]
    [seen] = sessions(platform, key)
    assert (seen["status"], seen["end_reason"]) == ("completed", "transfer")
    bank = PhraseBank([GREETING, *QUESTIONS, HOURS], decoys=())
    assert max(QUESTIONS, key=lambda each: bank.best_in(heard, PHONE_RATE, each)) == ASK_HOURS


def test_two_tabs_have_a_conversation_each_and_a_third_too_many(
    platform: Platform, site: Site, assistant: str, browsers: Browsers
) -> None:
    key = public_key(platform, site, assistant, sessions_per_hour=2)
    context = browsers.launch(YES).new_context()
    first, second, third = (
        opened(context, site.page(key["key"], assistant, kind=kind))
        for kind in ("script", "module", "script")
    )
    for tab in (first, second):
        tab.bring_to_front()
        tab.get_by_role("button", name="Start talking").click()
        expect(tab.get_by_role("status")).to_have_text(TALKING, timeout=LIMIT_MS)
    third.bring_to_front()
    third.get_by_role("button", name="Start talking").click()
    expect(third.get_by_role("alert")).to_contain_text("Too many conversations")
    expect(third.get_by_role("button", name="Try again")).to_be_focused()
    first.bring_to_front()
    first.get_by_role("button", name="End", exact=True).click()
    expect(first.get_by_role("status")).to_have_text("The conversation is over.")
    [newer, older] = [row["id"] for row in sessions(platform, key)]
    wait_for(
        lambda: platform.api.get(f"/session/{older}")["session"]["status"],
        lambda status: status == "completed",
        15.0,
    )
    assert platform.api.get(f"/session/{newer}")["session"]["status"] == "in_progress"
    platform.api.post(f"/session/{newer}/end", {})
    second.bring_to_front()
    expect(second.get_by_role("status")).to_have_text("The conversation is over.", timeout=LIMIT_MS)


def test_what_goes_wrong_is_said_in_words_and_spends_nothing(
    platform: Platform, site: Site, assistant: str, browsers: Browsers, axe: str
) -> None:
    key = public_key(platform, site, assistant)
    elsewhere = public_key(platform, site, assistant, allowed_origins=["https://a.example"])
    context = browsers.launch("--deny-permission-prompts").new_context()
    page = opened(context, site.page(key["key"], assistant))
    page.get_by_role("button", name="Start talking").click()
    expect(page.get_by_role("alert")).to_contain_text("The microphone is blocked for this page.")
    look(page, "denied")
    assert serious(page, axe) == []
    page.evaluate(NONE_THERE)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_contain_text("No microphone was found.")
    assert sessions(platform, key) == []
    allowed = browsers.launch(YES).new_context()
    page = opened(allowed, site.page(elsewhere["key"], assistant))
    page.get_by_role("button", name="Start talking").click()
    expect(page.get_by_role("alert")).to_contain_text("does not let this page in")


async def close_room(platform: Platform, name: str) -> None:
    """Close a room of livekit-server's."""
    livekit = api.LiveKitAPI(platform.home.livekit_url, *platform.home.livekit_keys())
    try:
        await livekit.room.delete_room(api.DeleteRoomRequest(room=name))
    finally:
        await livekit.aclose()


def test_a_page_of_another_server_is_told_of_a_second_tab_and_that_nobody_is_free(
    platform: Platform, site: Site, browsers: Browsers
) -> None:
    """Its sessions come from the site's own server; in this one no agent ever comes."""
    now = datetime.now(UTC)
    token = JoinTokens(*platform.home.livekit_keys()).issue(
        "nobody-free", "a", opens_at=now, until=now + timedelta(minutes=5), room_stays_s=20
    )
    site.session = {"token": token, "livekit_url": platform.home.livekit_url, "recording": True}
    context = browsers.launch(YES).new_context()
    first, second = (opened(context, site.own_page) for _ in range(2))
    for tab in (first, second):
        tab.bring_to_front()
        tab.get_by_role("button", name="Start talking").click()
        expect(tab.get_by_role("status")).to_contain_text("Connected.", timeout=LIMIT_MS)
        expect(tab.get_by_text("This conversation is recorded.")).to_be_visible()
    first.bring_to_front()
    expect(first.get_by_role("alert")).to_have_text("The conversation goes on in another tab.")
    with ThreadPoolExecutor(1) as aside:  # Playwright has this thread's loop
        aside.submit(asyncio.run, close_room(platform, "nobody-free")).result(10)
    second.bring_to_front()
    expect(second.get_by_role("alert")).to_contain_text("Nobody is free", timeout=LIMIT_MS)
    expect(second.get_by_role("button", name="Try again")).to_be_visible()


def test_the_try_it_page_lists_the_assistants_and_one_can_talk(
    platform: Platform, assistant: str, browsers: Browsers, axe: str
) -> None:
    for name in ("Second opinion", "A rather long name of an assistant who answers at night"):
        platform.api.post("/assistant", {"name": name, "prompt": "Be kind."})
    context = browsers.launch(YES).new_context()
    page = opened(context, f"{platform.home.api_url}/try")
    count = len(platform.api.get("/assistant")["assistants"])
    assert count >= 3
    expect(page.get_by_role("button", name="Start talking")).to_have_count(count)
    look(page, "try")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert serious(page, axe) == []
    telephone = page.locator(f"offhook-call[assistant-id='{assistant}']")
    telephone.get_by_role("button", name="Start talking").click()
    expect(telephone.get_by_role("status")).to_have_text(TALKING, timeout=LIMIT_MS)
    expect(telephone.get_by_role("log").get_by_text(GREETING)).to_be_visible(timeout=LIMIT_MS)
    telephone.get_by_role("button", name="End", exact=True).click()
    expect(telephone.get_by_role("status")).to_have_text("The conversation is over.")
    assert page.violations == []  # type: ignore[attr-defined]
