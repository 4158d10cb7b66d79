"""Reads the facts out of the Revox API reference: names, types, bounds, words, examples.

    python tests/contract/seeds/parse_revox.py PATH/revox-call.txt

writes `revox.json` beside this file. The reference lists a type such as `object { a, b, 2 more }`
and then its four members in order, each followed by prose, bounds and members of its own; so the
counts say where each object ends.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

Node = dict[str, Any]

_MEMBER = re.compile(
    r'(\w+): ((?:optional )?(?:string|number|boolean|unknown|object \{|array of |map\[|").*)'
)
_UNION = re.compile(r"UnionMember\d+ = (.*)")
_BOUND = re.compile(r"(minimum|maximum|exclusiveMinimum|minLength|maxLength)(-?\d+(?:\.\d+)?)")
_FORMAT = re.compile(r"format([a-z]+)")
_SECTION = re.compile(r"Returns.*|Place a call")
_UNIONS = ("string or unknown", "map[unknown] or string")
_OBJECT = re.compile(r"object \{ ([^}]*) \}")
_WORD = re.compile(r'"([^"]+)"')


class Reader:
    """The lines that are left."""

    def __init__(self, text: str):
        self._lines = [line.strip() for line in text.splitlines()]
        self._at = 0

    def skip_to(self, beginning: str) -> None:
        """Go past the next line that begins so."""
        while not self._lines[self._at].startswith(beginning):
            self._at += 1
        self._at += 1

    def members(self, heading: str) -> Node:
        """Return the members that `heading` (`object { a, b, 2 more }`) announces."""
        found = _OBJECT.match(heading)
        assert found is not None, heading
        names = found[1].split(", ")
        more = re.fullmatch(r"(\d+) more", names[-1])
        count = len(names) - 1 + int(more[1]) if more else len(names)
        return dict(self.member() for _ in range(count))

    def member(self) -> tuple[str, Node]:
        """Return the next member and its name."""
        found = self._next(_MEMBER)
        written = found[2].removeprefix("optional ")
        node = self._typed(written)
        if written != found[2]:
            node["optional"] = True
        return found[1], node

    def members_until(self, end: str) -> Node:
        """Return the members up to the line that begins with `end`."""
        found: Node = {}
        while not self._lines[self._at].startswith(end):
            if _MEMBER.fullmatch(self._lines[self._at]):
                name, node = self.member()
                found[name] = node
            else:
                self._at += 1
        return found

    def curl(self) -> Node:
        """Return the path and the body of the example command."""
        self.skip_to("curl ")
        path = self._lines[self._at - 1].split()[1].split("/", 3)[3]
        body = "\n".join(self._lines[self._at :]).split("-d '", 1)[1].split("'", 1)[0]
        self.skip_to("}'")
        return {"path": f"/{path}", "body": json.loads(body)}

    def example(self) -> Any:
        """Return the JSON value that begins on this line."""
        value, _ = json.JSONDecoder().raw_decode("\n".join(self._lines[self._at :]))
        return value

    def _typed(self, written: str) -> Node:
        if written.startswith("array of "):
            return {"type": "array", "items": self._typed(written.removeprefix("array of "))}
        if written.startswith("object {") and " or object {" not in written:
            return {"type": "object", "fields": self.members(written)}
        if written.startswith("object {") or written in _UNIONS:
            count = written.count(" or ") + 1
            return {"type": "union", "members": [self._union() for _ in range(count)]}
        if written.startswith("map["):
            return {"type": "map", "values": written[4:-1]} | self._facts()
        if written.startswith('"'):
            return {"type": "string", "enum": _WORD.findall(written)} | self._facts()
        return {"type": written} | self._facts()

    def _union(self) -> Node:
        return self._typed(self._next(_UNION)[1])

    def _facts(self) -> Node:
        """Return bounds and words up to the next member."""
        facts: Node = {}
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if any(each.fullmatch(line) for each in (_MEMBER, _UNION, _SECTION)):
                break
            if bound := _BOUND.fullmatch(line):
                facts[bound[1]] = json.loads(bound[2])
            elif form := _FORMAT.fullmatch(line):
                facts["format"] = form[1]
            elif word := _WORD.fullmatch(line):
                facts.setdefault("enum", []).append(word[1])
            self._at += 1
        return facts

    def _next(self, pattern: re.Pattern[str]) -> re.Match[str]:
        while (found := pattern.fullmatch(self._lines[self._at])) is None:
            self._at += 1
        self._at += 1
        return found


def parse(text: str) -> Node:
    """Return the facts of the reference."""
    reader = Reader(text)
    reader.skip_to("Body Parameters")
    request = reader.members_until("Returns")
    reader.skip_to("Returns")
    response = reader.members_until("Place a call")
    curl = reader.curl()
    return {"request": request, "response": response, "curl": curl, "answer": reader.example()}


def main() -> None:
    """Write the facts."""
    facts = parse(Path(sys.argv[1]).read_text())
    text = json.dumps(facts, indent=1, sort_keys=True) + "\n"
    Path(__file__).with_name("revox.json").write_text(text)


if __name__ == "__main__":
    main()
