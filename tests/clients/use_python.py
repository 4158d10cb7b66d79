"""A program that uses the generated Python client; run by test_generated.py, never imported."""

from __future__ import annotations

import json
import os
import sys

from offhook_client import AuthenticatedClient
from offhook_client.api.assistants import create_assistant
from offhook_client.api.calls import list_calls, place_call
from offhook_client.models import (
    AssistantCreate,
    AssistantEnvelope,
    CallEnvelope,
    CallPage,
    ErrorCode,
    PlaceCall,
    Problem,
)

client = AuthenticatedClient(os.environ["OFFHOOK_URL"], token=os.environ["OFFHOOK_API_KEY"])

made = create_assistant.sync(
    client=client, body=AssistantCreate(name="Reception", prompt="You answer for a bike shop.")
)
assert isinstance(made, AssistantEnvelope), made
wanted = PlaceCall.from_dict(
    {
        "phone_number": "+12025550123",
        "assistant_id": made.assistant.id,
        "scheduled_at": "2099-03-02T15:00:00Z",
        "metadata": {"order": "4711"},
    }
)
placed = place_call.sync(client=client, body=wanted)
assert isinstance(placed, CallEnvelope), placed
listed = list_calls.sync(client=client, limit=10)
assert isinstance(listed, CallPage), listed

refused = place_call.sync_detailed(client=client, body=PlaceCall(phone_number="12"))
problem = refused.parsed
assert isinstance(problem, Problem), problem
assert problem.code is ErrorCode.BAD_PHONE_NUMBER, problem.code

told = {
    "assistant": made.assistant.id,
    "call": placed.call.id,
    "listed": [call.id for call in listed.calls],
    "status": refused.status_code,
    "code": problem.code,
    "field": problem.field,
}
sys.stdout.write(json.dumps(told))
