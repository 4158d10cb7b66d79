"""How long a provider may take, in one place: a person waits at the other end of the line."""

from __future__ import annotations

from livekit.agents import APIConnectOptions
from livekit.agents.voice.agent_session import SessionConnectOptions

LLM = APIConnectOptions(max_retry=1, retry_interval=0.2, timeout=3.5)
"""To the first word, and between two: the second try ends within eight seconds of the first."""
TTS = APIConnectOptions(max_retry=1, retry_interval=0.1, timeout=2.5)
"""To the first sound, and between two."""
STT = APIConnectOptions(max_retry=3, retry_interval=0.3, timeout=5.0)
REALTIME = APIConnectOptions(max_retry=2, retry_interval=0.3, timeout=4.0)

# Whether a call ends after a failure is decided by agent/failures.py, not by counting.
SESSION = SessionConnectOptions(
    stt_conn_options=STT,
    llm_conn_options=LLM,
    tts_conn_options=TTS,
    max_unrecoverable_errors=1_000,
)
