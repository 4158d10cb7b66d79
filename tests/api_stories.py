"""How each API is used from its first to its last operation: its examples are recorded of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

NUMBER, OURS = "+12025550123", "+12025550177"
PAGE = "https://www.example.com"
LATER = "2099-03-02T15:00:00Z"


async def native(api: Any) -> None:
    """Use every operation of the native API."""
    assistant = await _assistants(api)
    await _routes(api, assistant)
    await _calls(api, assistant)
    await _sessions(api, assistant)
    await _campaigns(api, assistant)
    await _webhooks(api)
    await _keys(api)
    await _organizations(api)
    await _health(api)


async def _assistants(api: Any) -> str:
    wanted = {
        "name": "Reception",
        "prompt": "You answer for a bike shop. Opening hours: {{hours}}.",
        "first_sentence": "Spoke and Chain, good morning!",
    }
    made = await api.do("createAssistant", wanted)
    key = str(made["assistant"]["id"])
    await api.do("listAssistants")
    await api.do("getAssistant", assistant_id=key)
    await api.do("updateAssistant", {"end_of_call_sentence": "Ride safely!"}, assistant_id=key)
    test = await api.do("testAssistant", assistant_id=key)
    await api.do("getAssistantTest", assistant_id=key, test_id=test["test"]["id"])
    spare = await api.do("createAssistant", {"name": "Spare", "prompt": "You are spare."})
    await api.do("deleteAssistant", assistant_id=spare["assistant"]["id"])
    await api.do("putProvider", {"api_key": "sk-0123456789abcdef"}, name="openai")
    await api.do("getProvider", name="openai")
    await api.do("checkProvider", name="openai")
    await api.do("listProviders")
    await api.do("deleteProvider", name="openai")
    await api.do("listVoices")
    api.say("previewVoice", {"text": "Spoke and Chain, good morning!"})
    preset = await api.do(
        "createPreset", {"kind": "prompt", "name": "Brief", "prompt": "Be brief."}
    )
    replaced = {"kind": "prompt", "name": "Brief", "prompt": "Be brief and kind."}
    await api.do("listPresets")
    await api.do("getPreset", preset_id=preset["id"])
    await api.do("replacePreset", replaced, preset_id=preset["id"])
    await api.do("deletePreset", preset_id=preset["id"])
    return key


async def _routes(api: Any, assistant: str) -> None:
    wanted = {
        "direction": "outbound",
        "name": "Carrier",
        "address": "sip.example.com",
        "username": "spoke",
        "password": "not-this-one",
        "numbers": [OURS],
        "is_default": True,
    }
    trunk = await api.do("createTrunk", wanted)
    await api.do("listTrunks")
    await api.do("getTrunk", trunk_id=trunk["id"])
    await api.do("updateTrunk", {"calls_per_second": 2}, trunk_id=trunk["id"])
    await api.do("resumeTrunk", trunk_id=trunk["id"])
    number = await api.do(
        "createNumber", {"phone_number": "+12025550178", "assistant_id": assistant}
    )
    await api.do("listNumbers")
    await api.do("getNumber", number_id=number["id"])
    await api.do("updateNumber", {"assistant_id": None}, number_id=number["id"])
    await api.do("deleteNumber", number_id=number["id"])
    spare = await api.do("createTrunk", {**wanted, "name": "Spare", "is_default": False})
    await api.do("deleteTrunk", trunk_id=spare["id"])
    listed = {"phone_number": "+12025550199", "reason": "asked not to be called"}
    await api.do("addDoNotCall", listed)
    entries = await api.do("listDoNotCall")
    await api.do("deleteDoNotCall", entry=entries["numbers"][0]["id"])
    await api.do("addConsent", {"phone_number": NUMBER, "basis": "ticked the box on our form"})
    await api.do("listConsents")
    await api.do("revokeConsent", entry=NUMBER)


async def _calls(api: Any, assistant: str) -> None:
    wanted = {
        "phone_number": NUMBER,
        "assistant_id": assistant,
        "scheduled_at": LATER,
        "prompt_variables": {"hours": "nine to five"},
        "metadata": {"order": "4711"},
    }
    call = await api.do("placeCall", wanted)
    key = call["call"]["id"]
    await api.do("listCalls", limit=20)
    await api.do("getCall", call_id=key)
    await api.do("explainCall", call_id=key)
    await api.do("pauseCall", call_id=key)
    await api.do("resumeCall", call_id=key)
    await api.do("cancelCall", call_id=key)
    await api.do("listCallEvents", call_id=key)
    rows = [{**wanted, "phone_number": f"+1202555018{last}"} for last in range(2)]
    await api.do("placeCalls", {"calls": rows})
    api.say("getRecording", attempt_id=key)
    api.say("deleteRecording", attempt_id=key)


async def _sessions(api: Any, assistant: str) -> None:
    wanted = {
        "assistant_id": assistant,
        "prompt_variables": {"hours": "nine to five"},
        "max_duration_secs": 600,
    }
    started = await api.do("startSession", wanted)
    key = started["session"]["id"]
    await api.do("getSession", session_id=key)
    await api.do("listSessions", limit=20)
    await api.do("endSession", session_id=key)
    await api.do("getSessionTranscript", session_id=key)
    await api.do("listSessionEvents", session_id=key)
    plain = await api.do("createAssistant", {"name": "Guide", "prompt": "You show the site."})
    public = await api.do(
        "createPublicKey",
        {
            "name": "Our site",
            "allowed_origins": [PAGE],
            "assistant_ids": [plain["assistant"]["id"]],
            "sessions_per_hour": 100,
        },
    )
    await api.do("listPublicKeys")
    page = {"assistant_id": plain["assistant"]["id"]}
    await api.do("startPageSession", page, headers={"Origin": PAGE}, public_key=public["key"])
    await api.do("revokePublicKey", public_key_id=public["id"])


async def _campaigns(api: Any, assistant: str) -> None:
    wanted = {"name": "Spring check", "assistant_id": assistant, "scheduled_at": LATER}
    made = await api.do("createCampaign", wanted)
    key = made["campaign"]["id"]
    rows = [{"phone_number": "+12025550161", "prompt_variables": {"hours": "nine to five"}}]
    await api.do("addCampaignRows", {"rows": rows}, campaign_id=key)
    await api.do("listCampaignRows", campaign_id=key)
    await api.do("listCampaigns")
    await api.do("updateCampaign", {"max_concurrent_calls": 5}, campaign_id=key)
    await api.do("dryRunCampaign", campaign_id=key)
    await api.do("launchCampaign", campaign_id=key)
    await api.do("getCampaign", campaign_id=key)
    await api.do("reportCampaign", campaign_id=key)
    await api.do("pauseCampaign", campaign_id=key)
    await api.do("resumeCampaign", campaign_id=key)
    await api.do("cancelCampaign", campaign_id=key)
    draft = await api.do("createCampaign", {**wanted, "name": "A draft"})
    await api.do("deleteCampaign", campaign_id=draft["campaign"]["id"])


async def _webhooks(api: Any) -> None:
    made = await api.do("createWebhook", {"url": "https://hooks.example.com/offhook"})
    key = made["id"]
    await api.do("listWebhooks")
    await api.do("getWebhook", webhook_id=key)
    await api.do("updateWebhook", {"description": "To our CRM"}, webhook_id=key)
    await api.do("rotateWebhookSecret", webhook_id=key)
    await api.do("enableWebhook", webhook_id=key)
    sent = await api.do("testWebhook", webhook_id=key)
    await api.do("listDeliveries", limit=1)
    await api.do("listWebhookDeliveries", webhook_id=key, limit=1)
    await api.do("getDelivery", delivery_id=sent["id"])
    await api.do("replayDelivery", delivery_id=sent["id"])
    await api.do("replayWebhook", webhook_id=key, since="2026-03-02T12:00:00Z")
    await api.do("listWebhookEvents", limit=1)
    await api.do("getWebhookSecret")
    await api.do("rotateDefaultWebhookSecret")
    await api.do("deleteWebhook", webhook_id=key)


async def _keys(api: Any) -> None:
    made = await api.do("createKey", {"name": "Our CRM", "scopes": ["calls"], "calls_per_day": 500})
    await api.do("listKeys")
    await api.do("updateKey", {"calls_per_day": 1_000}, key_id=made["id"])
    await api.do("rotateKey", {"grace_secs": 3_600}, key_id=made["id"])
    await api.do("revokeKey", key_id=made["id"])


async def _organizations(api: Any) -> None:
    await api.do("getOrganization")
    await api.do("updateOrganization", {"default_timezone": "America/New_York"})
    made = await api.do("createOrganization", {"name": "Another shop"})
    await api.do("listOrganizations")
    await api.do("suspendOrganization", organization_id=made["organization"]["id"])
    await api.do("resumeOrganization", organization_id=made["organization"]["id"])
    await api.do("listAudit", limit=1)


async def _health(api: Any) -> None:
    await api.do("live")
    await api.do("ready", expected=503)  # no more than the API is there while this is recorded


async def redial(api: Any) -> None:
    """Use every operation of Redial."""
    wanted = {
        "who_to_call": "+12025550124",
        "when": 4_070_908_800,
        "model": "gpt-realtime",
        "instructions": "Ask for the earliest date.",
        "custom_llm_config": {"voice": "coral", "turn_detection": {"type": "server_vad"}},
    }
    event = (await api.do("scheduleCall", wanted))["event_id"]
    await api.do("getCallStatus", event_id=event)
    await api.do("getCallTranscript", event_id=event)
    await api.do("cancelCall", {"event_id": event})


async def dial_outbound(api: Any) -> None:
    """Use every operation of dial outbound."""
    known = await api.do("listIds")
    await api.do(
        "dialOutbound",
        {
            "number_id": known["numbers"][0]["id"],
            "use_case_id": known["use_cases"][0]["id"],
            "phone_number": "+12025550125",
            "params": {"customer": {"name": "Ada"}},
            "scheduled_for": LATER,
        },
    )


async def voice_api(api: Any) -> None:
    """Use every operation of the Voice API."""
    listed = (await api.do("listSessions", limit=20))["sessions"]
    agent = next(each["agent_id"] for each in listed if each["agent_id"])
    wanted = {
        "agent_id": agent,
        "to_number": "+12025550126",
        "from_number": OURS,
        "context": {"hours": "nine to five"},
        "scheduled_at": LATER,
    }
    dialled = (await api.do("dial", wanted))["session_id"]
    started = await api.do("start", {"agent_id": agent, "context": {"hours": "nine to five"}})
    await api.do("getStatus", session_id=dialled)
    await api.do("getSession", session_id=dialled)
    await api.do("getTranscript", session_id=started["session_id"])
    await api.do("end", session_id=dialled)
    await api.do("getRecording", recording_id=started["session_id"])


STORIES: dict[str, Callable[[Any], Awaitable[None]]] = {
    "native": native,
    "redial": redial,
    "dial_outbound": dial_outbound,
    "voice_api": voice_api,
}
