"""Voices: listed by their providers, and previewed by the after-call worker."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta, Struct
from sqlalchemy import delete

from control_plane.compliance.suspended import check_may_spend
from control_plane.db.models.job import JobRow
from control_plane.domain.assistant import Language
from control_plane.domain.errors import BadInput, Conflict
from control_plane.domain.job import NO_WORKER, JobStatus, Preview, ProbeResult
from control_plane.domain.providers import VOICE_PROVIDERS, Provider, Voice
from control_plane.http.dependencies import GivenDatabase, GivenPrincipal, GivenVault
from control_plane.jobs import repository
from control_plane.jobs.waiting import wait_for
from control_plane.providers.needed import access_of
from control_plane.voices.catalogue import EMBEDDED, VoiceView, spoken_in, voices_of
from process.addresses import Allowed

AUDIO = "audio/wav"
PREVIEW_LIMIT_S = 25.0
_NAMES = ", ".join(f"`{name}`" for name in VOICE_PROVIDERS)

GivenAllowed = NamedDependency[Allowed]


class VoiceList(Struct, frozen=True):
    """Voices."""

    voices: list[VoiceView]


class PreviewAsk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sentence and who speaks it; no voice is the embedded one, which speaks English only."""

    text: Annotated[str, Meta(min_length=1, max_length=500)]
    voice: Voice | None = None
    language: Language = Language.EN_US


class VoiceController(Controller):
    """What assistants can speak with."""

    path = "/voices"
    tags = ("voices",)
    opt = {"scope": "admin"}  # noqa: RUF012 - Litestar's own protocol

    @get(operation_id="listVoices", summary="List voices")
    async def list_all(
        self,
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
        allowed: GivenAllowed,
        provider: Annotated[
            str | None,
            QueryParameter(
                max_length=50,
                description=f"{_NAMES} or `offline`; without it, all with a key",
            ),
        ] = None,
        language: Annotated[
            str | None, QueryParameter(max_length=20, description="Such as `de` or `de-DE`")
        ] = None,
    ) -> VoiceList:
        """List the voices of the providers, asked now with the organization's keys."""
        known = [*VOICE_PROVIDERS, EMBEDDED.provider]
        if provider is not None and provider not in known:
            raise BadInput(
                f"there is no provider {provider!r} of voices; known are {', '.join(known)}",
                field="provider",
            )
        wanted = {Provider(each) for each in VOICE_PROVIDERS if provider in (None, each)}
        async with database.reading() as db:
            keys = await access_of(db, vault, principal.organization_id, wanted)
        found = [EMBEDDED] if provider in (None, "offline") else []
        for each in sorted(wanted):
            if each in keys:
                found += await voices_of(each, keys[each], allowed)
            elif provider is not None:
                raise _no_key(provider, field="provider")
        return VoiceList(found if language is None else list(spoken_in(found, language)))

    @post(
        "/preview",
        operation_id="previewVoice",
        summary="Hear a voice",
        status_code=200,
        media_type=AUDIO,
    )
    async def preview(
        self,
        data: JSONBody[PreviewAsk],
        principal: GivenPrincipal,
        database: GivenDatabase,
        vault: GivenVault,
    ) -> Response[bytes]:
        """Return the sentence as a WAV file; a conflict says why the voice did not speak."""
        if data.voice is None and data.language.base != "en":
            raise Conflict("the embedded voice speaks English only: name a voice", field="voice")
        owner = principal.organization_id
        wanted = Preview(text=data.text, voice=data.voice, language=data.language)
        async with database.transaction() as db:
            await check_may_spend(db, owner)  # no worker would take it
            if data.voice is not None:
                needed = {Provider(data.voice.provider)}
                if not await access_of(db, vault, owner, needed):
                    raise _no_key(data.voice.provider, field="voice.provider")
            made = await repository.preview_of(db, owner, msgspec.to_builtins(wanted))
        seen = await wait_for(database, owner, made.id, limit_s=PREVIEW_LIMIT_S)
        row = seen.row
        async with database.transaction() as db:
            await db.execute(delete(JobRow).where(JobRow.id == row.id))
        if row.sound is None:
            status, error = repository.status_of(row, seen.now)
            results = msgspec.convert(row.results, list[ProbeResult])
            told = results[0].error if results else None
            late = f"not done within {PREVIEW_LIMIT_S:g} s: try again" if row.takes else NO_WORKER
            why = (told or error or "no sound came") if status is JobStatus.DONE else late
            who = f"{data.voice.provider} " if data.voice is not None and told else ""
            raise Conflict(f"{who}{why}", field="voice")
        return Response(row.sound, media_type=AUDIO)


def _no_key(provider: str, *, field: str) -> Conflict:
    return Conflict(f"no key for {provider}: run `offhook provider set {provider}`", field=field)
