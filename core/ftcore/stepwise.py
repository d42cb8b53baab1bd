"""Chat templates that write one message after the other: one rendering holds every shorter chat's.

A template qualifies if its text alone shows it: the messages are walked through once, by a loop
that stands by itself and never looks ahead, and what follows the loop knows no message.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from jinja2 import Environment, Template, nodes

STEP = f"\x00{secrets.token_hex(8)}\x00"
"""Stands in a stepwise rendering before the first message and after each; in no user's text."""

_BEHIND = frozenset({"first", "index", "index0", "previtem"})
"""What a loop's variable tells without looking ahead."""

_KNOWN = frozenset({"add_generation_prompt", "bos_token", "eos_token"})


def stepwise(environment: Environment, text: str) -> Template | None:
    """The template with :data:`STEP` around the messages, if what it writes up to a message, but
    for what follows the loop, is all that it writes for the messages before it.
    """
    tree = environment.parse(text)
    names = _names_of_chat(tree)
    loops = [
        place
        for place, node in enumerate(tree.body)
        if isinstance(node, nodes.For) and isinstance(node.iter, nodes.Name)
        if node.iter.name in names
    ]
    if len(loops) != 1:
        return None
    at = loops[0]
    loop, after = tree.body[at], tree.body[at + 1 :]
    assert isinstance(loop, nodes.For)
    plain = loop.test is None and not loop.recursive and not loop.else_
    ends_early = loop.find(nodes.Break) or loop.find(nodes.Continue)
    if not plain or ends_early or not _walked_once(tree, names) or not _looks_behind(loop):
        return None
    if not _knows_no_message(tree, after):
        return None
    step = nodes.Output([nodes.TemplateData(STEP)])
    loop.body.append(step)
    tree.body.insert(at, step)
    tree.set_lineno(1)
    tree.set_environment(environment)
    return Template.from_code(
        environment, environment.compile(tree), dict(environment.make_globals(None))
    )


def _names_of_chat(tree: nodes.Template) -> set[str]:
    """``messages``, and what is set to them, perhaps without the first."""
    names = {"messages"}
    for node in tree.find_all(nodes.Assign):
        if isinstance(node.target, nodes.Name) and _is_chat(node.node, names):
            names.add(node.target.name)
    return names


def _is_chat(value: nodes.Node, names: set[str]) -> bool:
    if isinstance(value, nodes.Getitem) and isinstance(value.arg, nodes.Slice):
        part = value.arg
        first = isinstance(part.start, nodes.Const) and part.start.value == 1
        if not first or part.stop is not None or part.step is not None:
            return False
        value = value.node
    return isinstance(value, nodes.Name) and value.name in names


def _walked_once(tree: nodes.Template, names: set[str]) -> bool:
    """Whether the chat is used only to name it, to see its first message, and in one loop."""
    used = [name for name in tree.find_all(nodes.Name) if name.name in names]
    named = [
        node
        for node in tree.find_all(nodes.Assign)
        if isinstance(node.target, nodes.Name)
        and node.target.name in names - {"messages"}
        and _is_chat(node.node, names)
    ]
    seen = [
        node
        for node in tree.find_all(nodes.Getitem)
        if isinstance(node.node, nodes.Name)
        and node.node.name == "messages"
        and isinstance(node.arg, nodes.Const)
        and node.arg.value == 0
    ]
    # each name is stored where it is named, and loaded there, where it is seen, and by the loop
    return len(used) == 2 * len(named) + len(seen) + 1


def _looks_behind(loop: nodes.For) -> bool:
    """Whether the loop asks its variable only for what lies behind."""
    outer = [node for part in loop.body for node in _outside_loops(part)]
    used = sum(isinstance(node, nodes.Name) and node.name == "loop" for node in outer)
    behind = sum(
        isinstance(node, nodes.Getattr)
        and isinstance(node.node, nodes.Name)
        and node.node.name == "loop"
        and node.attr in _BEHIND
        for node in outer
    )
    return used == behind


def _knows_no_message(tree: nodes.Template, after: list[nodes.Node]) -> bool:
    """Whether what follows the loop depends on the generation prompt's flag alone, and only it."""
    names = [name for node in after for name in node.find_all(nodes.Name)]
    everywhere = list(tree.find_all(nodes.Name))
    known = all(name.name in _KNOWN for name in names)
    kept = not any(name.name in _KNOWN for name in everywhere if name.ctx != "load")
    asked = [name for name in everywhere if name.name == "add_generation_prompt"]
    return known and kept and len(asked) == sum(n.name == "add_generation_prompt" for n in names)


def _outside_loops(node: nodes.Node) -> Iterator[nodes.Node]:
    """A node and what it holds, without the bodies of loops, where ``loop`` is another one."""
    yield node
    for name in node.fields:
        if isinstance(node, nodes.For) and name == "body":
            continue
        value: object = getattr(node, name)
        for child in value if isinstance(value, list) else [value]:  # pyright: ignore
            if isinstance(child, nodes.Node):
                yield from _outside_loops(child)
