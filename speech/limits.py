"""How long a provider may take, in one place: a person waits at the other end of the line."""

from __future__ import annotations

from livekit.agents import APIConnectOptions
from livekit.agents.voice.agent_session import SessionConnectOptions

LLM = APIConnectOptions(max_retry=1, retry_interval=0.2, timeout=3.5)
"""To the first word, and between two: a second try that works is heard within five seconds."""
LLM_WITH_FALLBACK = APIConnectOptions(max_retry=0, retry_interval=0.0, timeout=2.5)
"""Of one of several models: the next one is heard within five seconds."""
REPLY_S = 15.0
"""To the first word of an answer that drips."""
REPLY_CHARACTERS = 1_000
"""A good minute of speech; nobody listens to more on the telephone."""
TTS = APIConnectOptions(max_retry=1, retry_interval=0.1, timeout=2.5)
"""To the first sound, and between two."""
STT = APIConnectOptions(max_retry=2, retry_interval=0.3, timeout=3.0)
REALTIME = APIConnectOptions(max_retry=2, retry_interval=0.3, timeout=4.0)

# Whether a call ends after a failure is decided by agent/failures.py, not by counting.
SESSION = SessionConnectOptions(
    stt_conn_options=STT,
    llm_conn_options=LLM,
    tts_conn_options=TTS,
    max_unrecoverable_errors=1_000,
)
