"""A whole conversation with a model at a provider server, asked by text and held to a far end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from agent.session import Engines
from control_plane.domain.assistant import FirstSentenceMode
from control_plane.domain.brief import ProviderAccess
from control_plane.domain.events import CallEvent, ItemSaid, Role
from control_plane.domain.providers import DedicatedModel, Provider
from tests.agent.telephone import Conversation, ringing
from tests.factories import call_brief
from tests.providers.servers import KEY, ProviderServers

LIMIT_S = 15.0


class Asked:
    """One answered conversation; `said` asks the model, as if the person had said it."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.far_end = conversation.far_end

    async def says(self, words: str) -> None:
        """The person's words; returns once the model's reply is over."""
        async with asyncio.timeout(LIMIT_S):
            await self.conversation.session.generate_reply(user_input=words)

    async def told(self, wanted: Callable[[list[CallEvent]], bool]) -> None:
        """Return once the control plane's events are as wanted."""
        async with asyncio.timeout(LIMIT_S):
            await self.conversation.books.until(lambda books: wanted(books.events))

    def tools(self) -> list[ItemSaid]:
        """Return the calls of tools in the transcript."""
        events = self.conversation.books.events
        return [e for e in events if isinstance(e, ItemSaid) and e.role is Role.TOOL]


@asynccontextmanager
async def asked(
    servers: ProviderServers, engines: Engines, *, takes_refer: bool = True, **settings: Any
) -> AsyncIterator[Asked]:
    """Hold a call whose model is at `servers`."""
    brief = call_brief(
        **{
            "llm_model": DedicatedModel("gpt-4.1"),
            "first_sentence_mode": FirstSentenceMode.NONE,
            "recording_enabled": False,
            **settings,
        }
    )
    access = {Provider.OPENAI: ProviderAccess(KEY, servers.openai_url)}
    brief = msgspec.structs.replace(brief, providers=access, takes_refer=takes_refer)
    async with ringing(brief, engines) as conversation:
        conversation.answer()
        yield Asked(conversation)
