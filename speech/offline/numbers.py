"""Numbers, times and dates in what a caller said, and how to read them back."""

from __future__ import annotations

import re

_DIGIT = {
    "zero": "0", "oh": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5",
    "six": "6", "seven": "7", "eight": "8", "nine": "9",
}  # fmt: skip
_SPOKEN = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TIMES = {"double": 2, "triple": 3}

_KEYS = re.compile(r"\bpressed\b[^:]*\bkeys?\b[^:]*:\s*([0-9*# ,]+)", re.IGNORECASE)
_WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_MONTH = (
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december)"
)
_ORDINAL = (
    r"(?:\d{1,2}(?:st|nd|rd|th)?|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|"
    r"eleventh|twelfth|(?:thir|four|fif|six|seven|eigh|nine)teenth|twentieth|thirtieth|"
    r"twenty[- ](?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|thirty[- ]first)"
)
_HOUR = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d{1,2})"
_DATE = re.compile(
    rf"\b(?:(?:next|this)\s+{_WEEKDAY}|{_WEEKDAY}(?:,?\s+(?:the\s+)?{_ORDINAL}(?:\s+of\s+{_MONTH})?)?|"
    rf"{_MONTH}\s+(?:the\s+)?{_ORDINAL}|(?:the\s+)?{_ORDINAL}\s+(?:of\s+)?{_MONTH}|"
    r"tomorrow|the day after tomorrow|tonight)\b",
    re.IGNORECASE,
)
_TIME = re.compile(
    rf"\b(?:\d{{1,2}}:\d{{2}}(?:\s*[ap]\.?m\b\.?)?|{_HOUR}\s*(?:o'clock|[ap]\.?m\b\.?)|"
    rf"(?:half|quarter)\s+(?:past|to)\s+{_HOUR}|(?<=at ){_HOUR}(?:\s+thirty)?|noon|midnight)",
    re.IGNORECASE,
)


def heard_number(text: str) -> str | None:
    """Return the longest run of three digits or more in `text`, or null; money is not one.

    `four two seven nine one`, `42791`, `555-0123` and `double five` are all understood.
    """
    runs: list[str] = [""]
    repeat = 1
    bare = re.sub(r"[$€£]\s?\d[\d,.]*", " | ", text.lower())
    bare = re.sub(r"\d{1,2}:\d{2}", " | ", bare)
    # A dash or a dot inside a number only groups its digits.
    bare = re.sub(r"(?<=\d)[-.()\s]+(?=\d)", "", bare)
    for word in re.findall(r"[a-z]+|\d+|\|", bare.replace("+", " ")):
        if word in _TIMES:
            repeat = _TIMES[word]
            continue
        digits = word if word.isdigit() else _DIGIT.get(word)
        if digits is None:
            runs.append("")
        else:
            runs[-1] += digits * repeat
        repeat = 1
    longest = max(runs, key=len)
    return longest if len(longest) >= 3 else None


def spell(digits: str) -> str:
    """Return `digits` to be spoken one by one, in groups: `5550123` → `five five five, zero …`."""
    words = [_SPOKEN[int(digit)] for digit in digits]
    return ", ".join(" ".join(words[start:end]) for start, end in _groups(len(words)))


def heard_moment(text: str) -> str | None:
    """Return the date and time that `text` names, in the caller's words, or null."""
    found = sorted(
        {
            match.span(): match.group(0) for form in (_DATE, _TIME) for match in form.finditer(text)
        }.items()
    )
    parts: list[str] = []
    reached = 0
    for (start, end), words in found:
        if start >= reached:
            parts.append(words.strip(" ."))
            reached = end
    if not parts:
        return None
    return " at ".join(parts[:2]) if _TIME.fullmatch(parts[-1]) else ", ".join(parts[:2])


def pressed_keys(text: str) -> str | None:
    """Return the telephone keys that a message says were pressed, to be spoken; or null."""
    found = _KEYS.search(text)
    if found is None:
        return None
    names = {"*": "star", "#": "pound"}
    return ", ".join(
        names.get(key) or _SPOKEN[int(key)] for key in found[1] if key in "0123456789*#"
    )


def readback(text: str) -> str | None:
    """Return what to confirm of `text`: digits one by one, a date, a time; or null."""
    if (keys := pressed_keys(text)) is not None:
        return keys
    number = heard_number(text)
    moment = heard_moment(text)
    if number is not None and moment is not None:
        return f"{spell(number)}, and {moment}"
    if number is not None:
        return spell(number)
    return moment


def _groups(count: int) -> list[tuple[int, int]]:
    """Threes, ending in a four where the length asks for it, as telephone numbers are said."""
    if count <= 4:
        return [(0, count)]
    bounds: list[tuple[int, int]] = []
    start = 0
    while count - start > 4:
        bounds.append((start, start + 3))
        start += 3
    return [*bounds, (start, count)]
