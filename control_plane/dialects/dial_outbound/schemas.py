"""What dial outbound asks for and answers; unknown members are ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from control_plane.domain.assistant import Language

Id = Annotated[str, Meta(min_length=24, max_length=24)]
Text = Annotated[str, Meta(min_length=1, max_length=200)]


class Dial(Struct, frozen=True, kw_only=True):
    """A call to place; `assistant_id`, `voice_id` and `model` are deprecated and work."""

    number_id: Id
    phone_number: Annotated[str, Meta(max_length=100)]
    assistant_id: Text | None = None
    voice_id: Text | None = None
    model: Text | None = None
    prompt_id: Text | None = None
    use_case_id: Id | None = None
    agent_id: Id | None = None
    model_id: Id | None = None
    language: Language | None = None
    params: Any = None
    metadata: dict[str, Any] | None = None
    campaign_id: Text | None = None
    scheduled_for: datetime | None = None
    max_duration_mins: Annotated[int, Meta(ge=1, le=1_440)] | None = None


class UseCase(Struct, frozen=True, kw_only=True):
    """Who spoke, as this call has it."""

    id: str
    name: str
    prompt: str
    language: Language
    max_duration_mins: float


class Dialled(Struct, frozen=True, kw_only=True):
    """The call that was placed."""

    id: str
    organization_id: str
    metadata: dict[str, Any]
    use_case: UseCase
    created: datetime
    params: Any


class Named(Struct, frozen=True):
    """An id and what it is called."""

    id: str
    name: str


class Ids(Struct, frozen=True, kw_only=True):
    """What a call may name."""

    numbers: list[Named]
    use_cases: list[Named]
    agents: list[Named]
    models: list[Named]
    prompts: list[Named]
    campaigns: list[Named]


class Problem(Struct, frozen=True):
    """What is wrong; `field` names the part of the request."""

    error: str
    message: str
    field: str | None
