"""The errors that a caller of the API can cause, drawn as one tree.

Refused
├── BadInput             a field has a value that cannot be used
│   ├── BadPhoneNumber
│   ├── UnknownField
│   ├── NotCallable      a rule forbids calling the number
│   ├── KeyReused        an Idempotency-Key came with another body
│   └── MissingVariable
├── NotAuthenticated     no key, or one that is not valid
├── NotAllowed           a valid key without the scope
│   ├── WrongOrigin      a public key on a page of another origin
│   └── AssistantNotAllowed
├── NotFound
│   └── UnknownPublicKey
├── Gone                 it was there, and was deleted
├── Conflict             the thing is not in a state that allows this
│   ├── IllegalTransition
│   ├── TokenUsed
│   ├── StaleEpoch
│   ├── SpoolGap
│   └── AssistantUnavailable
├── TooLarge
├── TooMany              more requests than the key may make; tells when to come again
│   └── SessionLimitReached
└── Busy                 too much at once, or a part does not answer; tells when to come again
"""

from __future__ import annotations


class Refused(Exception):
    """The request cannot be served as it is; `code` is stable, the text names the remedy."""

    code = "refused"

    def __init__(self, detail: str, *, field: str | None = None):
        super().__init__(detail)
        self.detail = detail
        self.field = field


class BadInput(Refused):
    """A field has a value that cannot be used."""

    code = "bad_input"


class BadPhoneNumber(BadInput):
    """A phone number cannot exist in the numbering plan."""

    code = "bad_phone_number"


class UnknownField(BadInput):
    """A field that this request does not have."""

    code = "unknown_field"


class MissingVariable(BadInput):
    """A text names a `{{variable}}` that the order gives no value for."""

    code = "missing_variable"


class NotCallable(BadInput):
    """A rule forbids calling the number, for ever; `rule` is its name."""

    code = "not_callable"

    def __init__(self, detail: str, *, field: str, rule: str):
        super().__init__(detail, field=field)
        self.rule = rule


class KeyReused(BadInput):
    """An Idempotency-Key came again with another body."""

    code = "idempotency_key_reused"


class NotAuthenticated(Refused):
    """No key, or one that is not valid."""

    code = "not_authenticated"


class NotAllowed(Refused):
    """The key is valid but lacks the scope."""

    code = "not_allowed"


class WrongOrigin(NotAllowed):
    """A public key came from a page of an origin that it is not for."""

    code = "wrong_origin"


class AssistantNotAllowed(NotAllowed):
    """A public key is not for the assistant, or there is no such assistant."""

    code = "assistant_not_allowed"


class NotFound(Refused):
    """There is no such thing in this organization."""

    code = "not_found"


class UnknownPublicKey(NotFound):
    """No such public key, or it was revoked."""

    code = "unknown_public_key"


class Gone(Refused):
    """It was there, and was deleted."""

    code = "gone"


class Conflict(Refused):
    """The thing is not in a state that allows this."""

    code = "conflict"


class IllegalTransition(Conflict):
    """A status cannot follow another."""

    code = "illegal_transition"


class TokenUsed(Conflict):
    """A one-use token was presented again."""

    code = "token_used"


class StaleEpoch(Conflict):
    """The writer no longer owns the attempt."""

    code = "stale_epoch"


class SpoolGap(Conflict):
    """Recording bytes do not continue where the spool ends; `size` is where it does."""

    code = "spool_gap"

    def __init__(self, detail: str, *, size: int):
        super().__init__(detail, field="offset")
        self.size = size


class AssistantUnavailable(Conflict):
    """A public key's assistant takes no conversation now; its owner alone is told why."""

    code = "assistant_unavailable"


class TooLarge(Refused):
    """The body is larger than this endpoint takes."""

    code = "too_large"


class TooMany(Refused):
    """More requests than the key may make; it may again after `retry_after_secs`."""

    code = "too_many_requests"

    def __init__(self, detail: str, *, retry_after_secs: int):
        super().__init__(detail)
        self.retry_after_secs = retry_after_secs


class SessionLimitReached(TooMany):
    """A public key has started as many sessions as it may in an hour."""

    code = "session_limit_reached"


class Busy(TooMany):
    """Too much is asked at once, or a part cannot do its own now; nothing was stored."""

    code = "busy"
