"""Reads GBNF, llama.cpp's notation of grammars, and tells whether a text is one that it describes.

The notation is described in ``grammars/README.md`` of llama.cpp. A grammar is a line
``name ::= …`` for each rule, the first of which is called ``root``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import NoReturn

from attrs import frozen

ROOT = "root"


class GbnfError(ValueError):
    """A text is no GBNF grammar: what is wrong, and in which line."""


@frozen
class Characters:
    """One character: of these ranges (code points, both ends included), or of none of them."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False

    def holds(self, character: str) -> bool:
        """Whether the character is one of them."""
        code = ord(character)
        return any(first <= code <= last for first, last in self.ranges) != self.negated


Item = Characters | str
"""A character, or the name of a rule."""
Alternative = tuple[Item, ...]
Stack = tuple[Alternative, int, "Stack | None"]
"""What may come next: an item of an alternative, and what follows where that one ends."""


@frozen
class Grammar:
    """A grammar that was read: the alternatives of each rule."""

    rules: dict[str, tuple[Alternative, ...]]

    def accepts(self, text: str) -> bool:
        """Whether the grammar describes all of the text."""
        return self.accepted(text) == len(text) + 1

    def accepted(self, text: str) -> int:
        """How many characters of a text can begin one that the grammar describes.

        One more than the text has where it is described as a whole.
        """
        stacks, ended = self._next([((ROOT,), 0, None)])
        for place, character in enumerate(text):
            follow: list[Stack | None] = []
            for items, at, below in stacks:
                item = items[at]
                if isinstance(item, Characters) and item.holds(character):
                    follow.append((items, at + 1, below))
            taken = bool(follow)
            stacks, ended = self._next(follow)
            if not stacks and not (ended and place + 1 == len(text)):
                return place + taken
        return len(text) + (1 if ended else 0)

    def _next(self, waiting: list[Stack | None]) -> tuple[list[Stack], bool]:
        """The stacks with a character on top that these lead to, and whether the text may end."""
        found: list[Stack] = []
        seen: set[Stack] = set()
        ended = False
        while waiting:
            stack = waiting.pop()
            if stack is None:
                ended = True
                continue
            items, at, below = stack
            if at == len(items):
                waiting.append(below)
                continue
            if stack in seen:
                continue
            seen.add(stack)
            item = items[at]
            if isinstance(item, Characters):
                found.append(stack)
                continue
            after = (items, at + 1, below) if at + 1 < len(items) else below
            waiting += [(alternative, 0, after) for alternative in self.rules[item]]
        return found, ended


def parse_gbnf(text: str) -> Grammar:
    """The grammar of a text.

    :raises GbnfError: the text is no GBNF, has no rule ``root``, names a rule that is not there
        or that leads to itself before any character (which llama.cpp refuses).
    """
    rules = _Parser(text).rules()
    if ROOT not in rules:
        raise GbnfError("there is no rule root")
    for name, alternatives in rules.items():
        for item in (item for items in alternatives for item in items):
            if isinstance(item, str) and item not in rules:
                raise GbnfError(f"the rule {name} names {item}, and there is no such rule")
    _refuse_left_recursion(rules)
    return Grammar(rules)


def quoted(text: str) -> str:
    """A text as a literal of GBNF."""
    return '"' + "".join(_ESCAPED.get(c, c) for c in text) + '"'


def named_rules(text: str) -> tuple[set[str], set[str]]:
    """The rules that a grammar defines, and those that it names without defining them.

    :raises GbnfError: the text is no GBNF.
    """
    rules = _Parser(text).rules()
    items = (item for options in rules.values() for items in options for item in items)
    named = {item for item in items if isinstance(item, str)}
    return {name for name in rules if _NAME.fullmatch(name)}, named - set(rules)


_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNESCAPED = {"n": "\n", "r": "\r", "t": "\t", **{c: c for c in '"\\[]-'}}
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]*")
_SPACE = re.compile(r"(?:[ \t]|#[^\n]*)*")
_BREAKS = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_CODE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")
_TIMES = re.compile(r"([*+?])|\{(\d+)(,)?(\d+)?\}")
_ANY = Characters((), negated=True)
_MOST = 2000
"""Repetitions that one rule may ask for, as in llama.cpp."""


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._rules: dict[str, tuple[Alternative, ...]] = {}
        self._numbers = count(1)

    def rules(self) -> dict[str, tuple[Alternative, ...]]:
        self._skip(_BREAKS)
        while self._at < len(self._text):
            name = self._name() or self._fail("a rule's name is expected")
            self._skip(_SPACE)
            if not self._takes("::="):
                self._fail(f"::= is expected after {name}")
            if name in self._rules:
                self._fail(f"the rule {name} stands twice")
            self._skip(_BREAKS)
            self._rules[name] = ()
            self._rules[name] = self._alternatives(name, nested=False)
            if self._at < len(self._text) and self._text[self._at] not in "\r\n":
                self._fail("a line break is expected after the rule")
            self._skip(_BREAKS)
        return self._rules

    def _alternatives(self, rule: str, *, nested: bool) -> tuple[Alternative, ...]:
        found = [self._sequence(rule, nested=nested)]
        while self._takes("|"):
            self._skip(_BREAKS)
            found.append(self._sequence(rule, nested=nested))
        return tuple(found)

    def _sequence(self, rule: str, *, nested: bool) -> Alternative:
        items: list[Item] = []
        space = _BREAKS if nested else _SPACE
        while self._at < len(self._text):
            last = self._element(rule)
            if last is None:
                break
            self._skip(space)
            if times := _TIMES.match(self._text, self._at):
                self._at = times.end()
                last = self._repeated(rule, last, times)
                self._skip(space)
            items += last
        return tuple(items)

    def _element(self, rule: str) -> list[Item] | None:
        if self._takes('"'):
            literal: list[Item] = []
            while not self._takes('"'):
                code = ord(self._character())
                literal.append(Characters(((code, code),)))
            return literal
        if self._takes("["):
            return [self._class()]
        if self._takes("("):
            self._skip(_BREAKS)
            options = self._alternatives(rule, nested=True)
            if not self._takes(")"):
                self._fail("a closing parenthesis is missing")
            return [self._add(rule, options)]
        if self._takes("."):
            return [_ANY]
        name = self._name()
        return None if name is None else [name]

    def _class(self) -> Characters:
        negated = self._takes("^")
        ranges: list[tuple[int, int]] = []
        while not self._takes("]"):
            first = last = ord(self._character())
            if self._text[self._at : self._at + 1] == "-" and self._text[self._at + 1 :][:1] != "]":
                self._at += 1
                last = ord(self._character())
            ranges.append((first, last))
        return Characters(tuple(ranges), negated)

    def _repeated(self, rule: str, items: list[Item], times: re.Match[str]) -> list[Item]:
        sign, least, comma, most = times.groups()
        low = int(least) if least else (1 if sign == "+" else 0)
        high = 1 if sign == "?" else None if sign or (comma and not most) else int(most or low)
        if max(low, high or 0) > _MOST or (high is not None and high < low):
            self._fail(f"{times.group()} cannot be: at least 0, at most {_MOST} times")
        found = items * low
        if high is None:
            name = self._add(rule, ())
            self._rules[name] = ((*items, name), ())
            return [*found, name]
        more: list[Item] = []
        for _ in range(high - low):  # the last first: it is followed by nothing
            more = [self._add(rule, ((*items, *more), ()))]
        return [*found, *more]

    def _add(self, rule: str, alternatives: tuple[Alternative, ...]) -> str:
        """A new rule for a piece of another one; no name of a rule holds a space."""
        name = f"{rule.partition(' ')[0]} {next(self._numbers)}"
        self._rules[name] = alternatives
        return name

    def _character(self) -> str:
        text = self._text[self._at : self._at + 1]
        if text in ("", "\n"):
            self._fail("the literal or class does not end on its line")
        if text != "\\":
            self._at += 1
            return text
        if code := _CODE.match(self._text, self._at):
            self._at = code.end()
            value = int(next(group for group in code.groups() if group), 16)
            return chr(value) if value <= 0x10FFFF else self._fail("there is no such character")
        escaped = _UNESCAPED.get(self._text[self._at + 1 : self._at + 2])
        if escaped is None:
            self._fail("wrong escape after a backslash")
        self._at += 2
        return escaped

    def _name(self) -> str | None:
        found = _NAME.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found.group()

    def _takes(self, text: str) -> bool:
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _fail(self, message: str) -> NoReturn:
        line = self._text.count("\n", 0, self._at) + 1
        raise GbnfError(f"line {line}: {message}")


def _refuse_left_recursion(rules: dict[str, tuple[Alternative, ...]]) -> None:
    empty: set[str] = set()
    while more := {
        name
        for name, options in rules.items()
        if name not in empty and any(all(item in empty for item in items) for items in options)
    }:
        empty |= more
    done: set[str] = set()
    for name in rules:
        # depth first: the rules that are entered before any character is read
        path: list[tuple[str, Iterator[str]]] = [(name, _first(rules[name], empty))]
        on_path = {name}
        while path and name not in done:
            at, following = path[-1]
            further = next(following, None)
            if further is None:
                path.pop()
                on_path.discard(at)
                done.add(at)
            elif further in on_path:
                told = further.partition(" ")[0]
                raise GbnfError(f"the rule {told} leads to itself before any character")
            elif further not in done:
                path.append((further, _first(rules[further], empty)))
                on_path.add(further)


def _first(alternatives: tuple[Alternative, ...], empty: set[str]) -> Iterator[str]:
    for items in alternatives:
        for item in items:
            if isinstance(item, str):
                yield item
            if item not in empty:
                break
