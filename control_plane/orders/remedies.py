"""What to do about a rule that forbids a call for good."""

from __future__ import annotations

from control_plane.domain.gate import Recipient, Rule
from control_plane.domain.number_type import needs_leave

_REMEDIES = {
    Rule.DO_NOT_CALL: "it is on the do-not-call list: DELETE /do-not-call takes it off",
    Rule.CONSENT: "the organization calls only who has agreed: POST /consent records that",
    Rule.COUNTRY: "its country is not on the organization's list: PATCH /organization with "
    "allowed_countries, or `offhook allow COUNTRY`, widens it",
    Rule.CALLING_WINDOWS: "no calling window opens before the order expires: change "
    "call_retry_config or scheduled_at",
    Rule.EXPIRED: "no calling window opens before the order expires: change "
    "call_retry_config or scheduled_at",
}


def remedy(rule: Rule, recipient: Recipient) -> str:
    """Return why `rule` forbids calling `recipient`, and what changes that."""
    if rule is Rule.NUMBER_TYPE and recipient.number_type is not None:
        return needs_leave(recipient.number_type)
    return _REMEDIES.get(rule, "change the order")
