"""What a call came to, in the words of the business."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """The result of an order as its owner counts it; not to be mixed up with its status."""

    NOT_INTERESTED = "not_interested"
    INTERESTED = "interested"
    COMPLETED = "completed"
    REQUESTED_CALLBACK_LATER = "requested_callback_later"
    REQUESTED_CALLBACK_NEW_NUMBER = "requested_callback_new_number"
    DO_NOT_CONTACT = "do_not_contact"
