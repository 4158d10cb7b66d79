"""Lines of libraries that call an error what is none, and lines that nobody needs.

Nothing is dropped that tells of a fault: each rule names the exact logger and sentence, and why.
"""

from __future__ import annotations

import logging

from msgspec import Struct


class _Rule(Struct, frozen=True):
    """Lower the level of the lines of one logger (not its children) that hold these words."""

    logger: str
    words: tuple[str, ...]
    level: int


_RULES = (
    # Whoever deletes a room has the server close the data channels of all in it. The SDK says so
    # of each, as an error, at every call's regular end; when a connection really breaks, it also
    # says that the connection did.
    _Rule("livekit", ("publisher data channel '", "' closed unexpectedly"), logging.DEBUG),
    # Who leaves a room has the server take the others' tracks off (`sip.leaving`), and the SDK of
    # the one they belonged to offers anew 0.15 s later; by then it has often left, too.
    _Rule(
        "livekit",
        ("failed to negotiate the publisher", "Called in wrong state: closed"),
        logging.DEBUG,
    ),
    # The SDK lets go of some things twice: at the end of a process, and when tracks are taken off.
    _Rule("livekit", ("Attempted to drop unknown FFI handle",), logging.DEBUG),
    # A look that took longer than to the next one, on a busy machine: that one had nothing to do.
    _Rule(
        "apscheduler.scheduler",
        ("skipped: maximum number of running instances reached",),
        logging.DEBUG,
    ),
    # A person may speak over a sentence that is not to be interrupted: most say goodbye while the
    # agent does.
    _Rule(
        "livekit.agents",
        ("skipping reply to user input, current speech generation cannot be interrupted",),
        logging.INFO,
    ),
)
_CHATTY = ("httpx", "httpx2", "aiohttp.access", "uvicorn.access", "apscheduler")
_ALONE = ("livekit",)
"""Chatty loggers whose children are heard as before."""


def quiet(level: int) -> None:
    """Apply the rules to the loggers of this process, whose lowest level shown is `level`."""
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, level))
    for name in sorted({*_ALONE, *(rule.logger for rule in _RULES)}):
        logger = logging.getLogger(name)
        for old in [each for each in logger.filters if isinstance(each, _Softer)]:
            logger.removeFilter(old)
        logger.addFilter(_Softer(name, level))


class _Softer(logging.Filter):
    """Lowers the level of what the rules name, and holds back what is too low then.

    Python asks a logger's filters for its own lines only, not for those of its children.
    """

    def __init__(self, logger: str, level: int) -> None:
        super().__init__()
        self._rules = [rule for rule in _RULES if rule.logger == logger]
        # At DEBUG everything is shown, whoever asked for it.
        self._lowest = logging.WARNING if logger in _ALONE and level > logging.DEBUG else level

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        for rule in self._rules:
            if all(word in text for word in rule.words):
                record.levelno, record.levelname = rule.level, logging.getLevelName(rule.level)
        return record.levelno >= self._lowest
