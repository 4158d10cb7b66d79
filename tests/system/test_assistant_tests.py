"""`POST /assistant/{id}/test` on a whole Offhook: the after-call worker does it."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import pytest

from tests.providers.behaviour import Behaviour
from tests.providers.script import Rule
from tests.providers.servers import KEY, ProviderServers
from tests.system.platform import Platform

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]


def outcome_of(platform: Platform, **fields: Any) -> dict[str, Any]:
    """Return the finished test of a new assistant."""
    body = {"name": "A", "prompt": "Be kind.", **fields}
    assistant = platform.api.post("/assistant", body)["assistant"]
    test: dict[str, Any] = platform.api.post(f"/assistant/{assistant['id']}/test?wait=12")["test"]
    if test["status"] != "done":  # the first one of all loads the plugins
        test = platform.api.post(f"/assistant/{assistant['id']}/test?wait=12")["test"]
    assert test["status"] == "done", test
    return test


@pytest.fixture(autouse=True)
def _as_usual(providers: ProviderServers) -> None:
    providers.controls.reset()


def test_every_provider_of_an_assistant(platform: Platform, providers: ProviderServers) -> None:
    providers.controls.rules(Rule(say="This is the clinic."))
    custom = {"type": "custom", "api_url": providers.custom_url, "model_name": "m", "api_key": KEY}
    test = outcome_of(
        platform,
        llm_model={"type": "dedicated-instance", "name": "gpt-4.1"},
        llm_fallbacks=[custom],
        voice={"provider": "elevenlabs", "id": "v"},
        stt={"provider": "cartesia"},
    )
    assert (test["ok"], test["error"]) == (True, None), test
    told = [(each["part"], each["provider"], each["said"]) for each in test["results"]]
    assert told[:2] == [
        ("model", "openai", "This is the clinic."),
        ("model", "custom", "This is the clinic."),
    ]
    assert "moment" in test["results"][-1]["heard"].lower()


def test_what_a_provider_refuses_is_told_with_the_remedy(
    platform: Platform, providers: ProviderServers
) -> None:
    providers.controls.behave("cartesia.tts", Behaviour(status=401))
    test = outcome_of(platform, voice={"provider": "cartesia", "id": "v"})
    assert test["ok"] is False
    (voice,) = [each for each in test["results"] if each["part"] == "voice"]
    assert "`offhook provider set cartesia`" in voice["error"]


@pytest.mark.parametrize(
    ("provider", "model"), [("google", "gemini-2.5-flash-native-audio-preview-12-2025"),
                            ("openai", "gpt-realtime")]
)  # fmt: skip
def test_models_that_speak_by_themselves(
    platform: Platform, providers: ProviderServers, provider: str, model: str
) -> None:
    providers.controls.rules(Rule(say="Good morning."))
    chosen = {"type": "realtime", "provider": provider, "realtime_model_id": model}
    (result,) = outcome_of(platform, llm_model=chosen)["results"]
    assert (result["ok"], result["said"]) == (True, "Good morning."), result


def offhook(platform: Platform, *words: str) -> subprocess.CompletedProcess[str]:
    """Return what the command line says to this Offhook."""
    env = {**os.environ, **platform.home.environment(), "COLUMNS": "200"}  # one line is one
    command = [sys.executable, "-m", "offhook", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=90, check=False)


def test_voices_are_listed_and_heard_by_the_command_line(platform: Platform, folder: Path) -> None:
    listed = offhook(platform, "voices", "--provider", "cartesia")
    assert listed.returncode == 0, listed.stderr
    assert "Katie" in listed.stdout
    for provider in ("cartesia", "offline"):
        out = folder / f"{provider}.wav"
        how = ("--provider", provider, "--text", "Good morning.", "--out", str(out))
        heard = offhook(platform, "voices", "preview", "some-voice", *how)
        assert heard.returncode == 0, heard.stderr
        with wave.open(str(out)) as file:
            assert file.getnframes() / file.getframerate() > 0.5
    wrong = offhook(platform, "voices", "--provider", "nobody")
    assert wrong.returncode == 2
    assert "cartesia, elevenlabs, offline" in wrong.stdout + wrong.stderr
