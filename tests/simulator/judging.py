"""The invariants, judged by the far end's log and plain rows, never by the code under test."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.simulator.clients import Clients
from tests.simulator.outside import Invite, Rooms, SipService
from tests.simulator.world import World

_PROMPT_S = 3.0
"""How long after its mark an INVITE may leave: what was true at the mark may then be over."""

_LATE_S = 60.0
_JITTER_S = 0.25
_UNCOUNTED = {401, 403, 407, 429, 500, 502, 503, 504}
_FINALS = ("call.completed", "call.no_answer", "call.cancelled", "call.failed")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


_ATTEMPTS = """SELECT a.order_id, a.ordinal, a.counted, l.dial_error, l.sip_status, s.*
  FROM attempt a JOIN session s ON s.id = a.session_id JOIN leg l ON l.session_id = s.id"""


class Judge:
    """Looks at everything once a schedule is over."""

    def __init__(self, world: World, sip: SipService, rooms: Rooms, clients: Clients):
        self._world = world
        self._sip = sip
        self._rooms = rooms
        self._clients = clients
        rows = world.store.rows
        self._orders = {row["id"]: row for row in rows("SELECT * FROM call_order")}
        self._attempts = {row["id"]: row for row in rows(_ATTEMPTS)}
        self._history: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows("SELECT * FROM call_event ORDER BY call_id, sequence"):
            self._history[row["call_id"]].append(row)
        self._outbox: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows("SELECT * FROM outbox ORDER BY sequence"):
            self._outbox[row["call_id"]].append(row)
        self._trunks = {
            row["sip_trunk_id"]: row
            for row in rows("SELECT * FROM trunk WHERE direction = 'outbound'")
        }

    def judge(self) -> None:
        """Note every violation."""
        for (what,) in self._world.store.connection.execute("SELECT what FROM forbidden"):
            self._bad(*what.split(" ", 1))
        self._once()
        self._trunk_limits()
        for index, invite in enumerate(self._sip.invites):
            self._allowed(invite, self._sip.invites[:index])
        for order in self._orders.values():
            self._ended(order)
            self._told(order)
        self._nothing_left()

    def _bad(self, invariant: str, what: str) -> None:
        self._world.violate(invariant, what)

    def _order_of(self, invite: Invite) -> dict[str, Any]:
        return self._orders[self._attempts[invite.attempt_id]["order_id"]]

    def _live(self, invite: Invite, before: list[Invite]) -> list[Invite]:
        """Return the earlier calls that were live at the instant of `invite`."""
        return [e for e in before if e.ended_at is None or e.ended_at > invite.at]

    def _once(self) -> None:
        seen: set[str] = set()
        for index, invite in enumerate(self._sip.invites):
            if invite.attempt_id in seen:
                self._bad("I1", f"two INVITEs of the attempt {invite.attempt_id}")
            seen.add(invite.attempt_id)
            order = self._order_of(invite)
            live = self._live(invite, self._sip.invites[:index])
            if any(self._order_of(other) is order for other in live):
                self._bad("I1", f"two live calls of the order {order['id']}")
            mine = (order["organization_id"], order["concurrency_key"])
            beside = [
                other
                for other in live
                if mine[1] is not None
                and mine
                == (
                    self._order_of(other)["organization_id"],
                    self._order_of(other)["concurrency_key"],
                )
            ]
            if mine[1] is not None and len(beside) + 1 > order["concurrency_max"]:
                self._bad("I1", f"above the maximum of the key {mine[1]}: {invite.attempt_id}")
        placed = [each for each in self._clients.orders.values() if len(each) > 1]
        if placed:
            self._bad("I1", f"one Idempotency-Key, several orders: {placed}")

    def _trunk_limits(self) -> None:
        by_trunk: dict[str, list[Invite]] = defaultdict(list)
        for index, invite in enumerate(self._sip.invites):
            trunk = self._trunks[invite.trunk]
            earlier = by_trunk[invite.trunk]
            live = self._live(invite, earlier)
            if len(live) >= trunk["max_concurrent_calls"]:
                self._bad("I1", f"the trunk has too many calls at INVITE {index}")
            gap = 1 / trunk["calls_per_second"] - _JITTER_S
            if earlier and invite.at - earlier[-1].at < gap:
                self._bad("I1", f"the trunk is called too fast at INVITE {index}")
            earlier.append(invite)

    def _allowed(self, invite: Invite, before: list[Invite]) -> None:
        order, attempt = self._order_of(invite), self._attempts[invite.attempt_id]
        at = self._world.at(invite.at)
        if not self._forced(order, attempt) and not any(
            _is_open(order, at - timedelta(seconds=back)) for back in (0.0, _PROMPT_S)
        ):
            self._bad("I3", f"outside the calling windows: {attempt['id']} at {at}")
        if order["scheduled_at"] is not None and at < _instant(order["scheduled_at"]):
            self._bad("I3", f"before scheduled_at: {attempt['id']}")
        final = next((e for e in self._history[order["id"]] if e["type"] in _FINALS), None)
        if final is not None and at > _instant(final["at"]):
            self._bad("I3", f"after the order was final: {attempt['id']}")
        for said in self._clients.said:
            if said.order_id == order["id"] and said.what == "cancelled" and invite.at > said.at:
                self._bad("I3", f"after an acknowledged cancel: {attempt['id']}")
        self._not_paused(order, invite)
        for owner, number, since in self._clients.barred:
            mine = (owner, number) == (order["organization_id"], order["to_phone_number"])
            if mine and invite.at > since + _PROMPT_S:
                self._bad("I3", f"to a do-not-call number: {attempt['id']}")
        self._within_caps(order, invite, before)

    def _not_paused(self, order: dict[str, Any], invite: Invite) -> None:
        paused: float | None = None
        for said in self._clients.said:
            if said.order_id != order["id"]:
                continue
            if said.what == "paused":
                paused = said.at
            elif said.what == "resumed" and said.at <= invite.at:
                paused = None
        if paused is not None and invite.at > paused + _PROMPT_S:
            self._bad("I3", f"while paused: {invite.attempt_id}")

    def _forced(self, order: dict[str, Any], attempt: dict[str, Any]) -> bool:
        """Return whether `force_now` lets this attempt be made at any time."""
        return bool(order["force_now"]) and not any(
            other["counted"] and other["ordinal"] < attempt["ordinal"]
            for other in self._attempts.values()
            if other["order_id"] == order["id"]
        )

    def _within_caps(self, order: dict[str, Any], invite: Invite, before: list[Invite]) -> None:
        plan, at = self._world.plan, self._world.at(invite.at)
        if plan.attempts_per_day is not None:
            began = min(
                at.astimezone(ZoneInfo(key)).replace(hour=0, minute=0, second=0, microsecond=0)
                for key in json.loads(order["zones"])
            ).astimezone(UTC)
            made = [
                other
                for other in before
                if self._order_of(other)["to_phone_number"] == order["to_phone_number"]
                and self._order_of(other)["organization_id"] == order["organization_id"]
                and self._attempts[other.attempt_id]["counted"]
                and self._world.at(other.at) >= began
            ]
            if len(made) >= plan.attempts_per_day:
                self._bad("I3", f"past the cap of attempts: {invite.attempt_id}")
        if plan.calls_per_day is not None:
            used = [
                other
                for other in before
                if self._order_of(other)["api_key_id"] == order["api_key_id"]
                and self._world.at(other.at).date() == at.date()
            ]
            if len(used) >= plan.calls_per_day:
                self._bad("I3", f"past the key's cap of calls: {invite.attempt_id}")

    def _ended(self, order: dict[str, Any]) -> None:
        mine = [a for a in self._attempts.values() if a["order_id"] == order["id"]]
        if order["deadline_at"] is not None:
            self._bad("I2", f"the order {order['id']} is still {order['status']}")
        else:
            finals = [e for e in self._history[order["id"]] if e["type"] in _FINALS]
            if len(finals) != 1:
                self._bad("I2", f"{len(finals)} final states of the order {order['id']}")
        counted = [a for a in mine if a["counted"] and a["closed_at"] is not None]
        config = json.loads(order["retry_config"])
        if order["calls_count"] != len(counted):
            self._bad("I2", f"calls_count is {order['calls_count']}, not {len(counted)}")
        if len(counted) > config["max_retry_attempts"]:
            self._bad("I2", f"{len(counted)} attempts of {config['max_retry_attempts']}")
        self._not_starved(order)
        for attempt in mine:
            self._counted_rightly(order, attempt)

    def _not_starved(self, order: dict[str, Any]) -> None:
        """Note an order whose time ran out while it waited for a slot that was free."""
        history = self._history[order["id"]]
        held = [json.loads(e["data"])["rule"] for e in history if e["type"] == "held_back"]
        if held[-1:] != ["concurrency"] or json.loads(history[-1]["data"]).get("rule") != "expired":
            return
        if not self._world.store.row("SELECT 1 FROM trunk_pace WHERE stopped_at IS NOT NULL"):
            self._bad("I4", f"the order {order['id']} waited for a slot until its end")

    def _counted_rightly(self, order: dict[str, Any], attempt: dict[str, Any]) -> None:
        invite = next((i for i in self._sip.invites if i.attempt_id == attempt["id"]), None)
        if invite is None or order["status"] == "cancelled":
            return
        over = attempt["closed_at"] is not None and _instant(attempt["closed_at"])
        alive = invite.ended_at is None or (over and self._world.at(invite.ended_at) > over)
        if attempt["status"] == "error" and alive and order["cancel_requested_at"] is None:
            self._bad("I1", f"a live call was taken for dead: {attempt['id']}")
        if invite.answered_at is not None and not attempt["counted"]:
            self._bad("I2", f"an answered call does not count: {attempt['id']}")
        if attempt["sip_status"] in _UNCOUNTED and attempt["counted"]:
            self._bad("I2", f"the trunk's fault counts: {attempt['id']}")

    def _told(self, order: dict[str, Any]) -> None:
        history, outbox = self._history[order["id"]], self._outbox[order["id"]]
        numbers = [event["sequence"] for event in history]
        if numbers != list(range(1, len(numbers) + 1)) or order["event_count"] != len(numbers):
            self._bad("I5", f"the history of {order['id']} has a gap: {numbers}")
        wanted = [(e["sequence"], e["type"]) for e in history if e["type"].startswith("call.")]
        sent = [(row["sequence"], row["type"]) for row in outbox]
        if wanted != sent:
            self._bad("I5", f"the outbox of {order['id']} has {sent}, the history {wanted}")

    def _nothing_left(self) -> None:
        for attempt in self._attempts.values():
            if attempt["closed_at"] is None:
                self._bad("I4", f"the attempt {attempt['id']} is open")
        for invite in self._sip.invites:
            if invite.ended_at is None:
                self._bad("I4", f"the call {invite.attempt_id} is live")
        if self._rooms.open_rooms:
            self._bad("I4", f"rooms are open: {sorted(self._rooms.open_rooms)}")
        known = {row["id"] for row in self._orders.values()}
        for ids in self._clients.orders.values():
            for lost in ids - known:
                self._bad("I2", f"the acknowledged order {lost} is gone")


def _instant(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def _is_open(order: dict[str, Any], at: datetime) -> bool:
    """Return whether every zone of the order is within a window: an oracle of its own."""
    config = json.loads(order["retry_config"])
    return all(_open_in(config, at.astimezone(ZoneInfo(key))) for key in json.loads(order["zones"]))


def _open_in(config: dict[str, Any], local: datetime) -> bool:
    time = local.hour * 3_600 + local.minute * 60 + local.second
    today, yesterday = _DAYS[local.weekday()], _DAYS[local.weekday() - 1]
    for window in config["calling_windows"]:
        start = _seconds(window["calling_window_start_time"])
        end = _seconds(window["calling_window_end_time"])
        if start < end:
            if start <= time < end and today in config["allowed_days"]:
                return True
        elif (time >= start and today in config["allowed_days"]) or (
            time < end and yesterday in config["allowed_days"]
        ):
            return True
    return False


def _seconds(text: str) -> int:
    plain = text.removesuffix("am").removesuffix("pm")
    hour, _, minute = plain.partition(":")
    hours = int(hour) % 12 if plain != text else int(hour)
    return (hours + 12 * text.endswith("pm")) * 3_600 + int(minute or 0) * 60
