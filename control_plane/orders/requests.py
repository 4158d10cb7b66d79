"""The body of `POST /call`, and a row of a batch, as what somebody wants."""

from __future__ import annotations

from control_plane.assistants.schemas import merge
from control_plane.domain.order_request import ConcurrencyLimit, OrderRequest
from control_plane.orders.schemas import PlaceCall


def order_request(given: PlaceCall, *, organization_id: str, api_key_id: str) -> OrderRequest:
    """Return what is asked for; `assistant_id` wins over `assistant`.

    Raises:
        BadInput: a field of the assistant cannot be used; names it.
    """
    own = given.assistant if given.assistant_id is None else None
    limit = given.concurrency
    return OrderRequest(
        organization_id=organization_id,
        api_key_id=api_key_id,
        phone_number=given.phone_number,
        from_phone_number=given.from_phone_number,
        assistant_id=given.assistant_id,
        assistant=merge(own) if own is not None else None,
        call_retry_config=given.call_retry_config,
        concurrency=ConcurrencyLimit(limit.key, limit.max) if limit is not None else None,
        force_now=bool(given.force_now),
        scheduled_at=given.scheduled_at,
        metadata=given.metadata or {},
        prompt_variables=given.prompt_variables or {},
    )
