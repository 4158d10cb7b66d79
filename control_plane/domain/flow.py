"""The drawing behind a prompt: kept for its editor, never executed."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Id = Annotated[str, Meta(max_length=200)]


class FlowEdge(Struct, frozen=True, forbid_unknown_fields=True):
    """A line from one block to another."""

    id: Id
    source: Id
    target: Id


class FlowText(Struct, frozen=True, forbid_unknown_fields=True):
    """What a block says."""

    body: Annotated[str, Meta(max_length=100_000)]
    title: Annotated[str, Meta(max_length=2_000)]


class FlowPosition(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a block lies on the canvas, in the editor's own unit."""

    x: float
    y: float


class FlowNode(Struct, frozen=True, forbid_unknown_fields=True):
    """A block of the prompt."""

    id: Id
    data: FlowText
    position: FlowPosition
    type: Literal["promptBlock"]


class PromptFlow(Struct, frozen=True, forbid_unknown_fields=True):
    """The blocks of a prompt and the lines between them."""

    edges: Annotated[tuple[FlowEdge, ...], Meta(max_length=5_000)]
    nodes: Annotated[tuple[FlowNode, ...], Meta(max_length=1_000)]
