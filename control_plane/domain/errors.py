"""The errors that a caller of the API can cause, drawn as one tree.

Refused
├── BadInput             a field has a value that cannot be used
│   ├── BadPhoneNumber
│   ├── UnknownField
│   └── MissingVariable
├── NotAuthenticated     no key, or one that is not valid
├── NotAllowed           a valid key without the scope
├── NotFound
├── Conflict             the thing is not in a state that allows this
│   ├── IllegalTransition
│   ├── TokenUsed
│   ├── StaleEpoch
│   └── SpoolGap
└── TooLarge
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


class NotAuthenticated(Refused):
    """No key, or one that is not valid."""

    code = "not_authenticated"


class NotAllowed(Refused):
    """The key is valid but lacks the scope."""

    code = "not_allowed"


class NotFound(Refused):
    """There is no such thing in this organization."""

    code = "not_found"


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


class TooLarge(Refused):
    """The body is larger than this endpoint takes."""

    code = "too_large"
