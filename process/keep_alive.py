"""How long a client of ours keeps an idle connection to one of our HTTP servers.

A server closes connections that have been idle for five seconds (uvicorn's default). Who sends
just then gets no answer, and cannot know whether the request was carried out. So clients give up
an idle connection sooner.
"""

from __future__ import annotations

import httpx

LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=3.0)
