"""A chat template's shape in the language of Ollama's TEMPLATE, which is Go's text/template.

What Ollama (0.30, its ``template`` and ``api`` packages) gives to a template decides the form:

* ``.System`` is all system texts, which stand in ``.Messages`` too; neighbours of one role have
  become one message.
* Of a tool there are ``name``, ``description`` and of its parameters ``type``, ``properties`` and
  ``required``; of a property ``type``, ``description``, ``enum``, ``items``. They are written in
  this order. Properties and arguments are Go maps: they come in alphabetical order.
* Its ``json`` writes no space after a separator and ``<``, ``>``, ``&`` as escapes, which no chat
  template does. So JSON is written here piece by piece, a text by ``printf "%q"``; that differs
  from JSON only for characters that print nothing.
* It finds the tag of tool calls in the first text after ``if .ToolCalls``, those of thoughts in the
  first and the last text around ``.Thinking``, and that a template takes tools in ``.Tools`` and
  ``eq .Role "tool"``. So these must stand as they do.
"""

from __future__ import annotations

import re

from ftcore.export.chat_shape import Calls, ChatShape, Pieces, Results, Thoughts, Tools

_JSON = (
    '{{ define "json" }}{{ $type := printf "%T" . }}'
    '{{ if eq $type "string" }}{{ printf "%q" . }}'
    '{{ else if eq $type "map[string]interface {}" }}{{ template "object" . }}'
    '{{ else if eq $type "[]interface {}" }}'
    '[{{ range $n, $item := . }}{{ if $n }}, {{ end }}{{ template "json" $item }}{{ end }}]'
    "{{ else }}{{ json . }}{{ end }}{{ end }}"
    '{{ define "object" }}{{ "{" }}{{ $comma := "" }}{{ range $key, $value := . }}'
    '{{ $comma }}{{ printf "%q" $key }}: {{ template "json" $value }}{{ $comma = ", " }}'
    '{{ end }}{{ "}" }}{{ end }}'
)

_STANDS_LAST = "(eq (len (slice $.Messages $i)) 1)"


def go_template(shape: ChatShape) -> str:
    """The text of TEMPLATE."""
    text = _JSON if shape.calls or shape.tools else ""
    if shape.tools:
        text += f'{{{{ define "tools" }}}}{_tool_list(shape.tools)}{{{{ end }}}}'
    thoughts, results = shape.thoughts, shape.results
    if shape.opening_at_last or (thoughts and not thoughts.every):
        text += (
            "{{ $last := -1 }}{{ range $i, $m := .Messages }}"
            '{{ if eq $m.Role "user" }}{{ $last = $i }}{{ end }}{{ end }}'
        )
    text += "{{ $speaks := true }}" + ("{{ $in := false }}" if results else "")
    text += "" if shape.opening_at_last else "{{ $opened := false }}"
    text += _text(shape.start) + "{{ range $i, $m := .Messages }}"
    text += '{{ $speaks = ne .Role "assistant" }}'
    if results:
        text += (
            f'{{{{ if and $in (ne .Role "tool") }}}}{_text(results.after)}{{{{ $in = false }}}}'
            "{{ end }}"
        )
    text += '{{ if eq .Role "user" }}' + _question(shape)
    text += '{{ else if eq .Role "assistant" }}' + _answer(shape)
    if results:
        text += '{{ else if eq .Role "tool" }}' + _result(results)
    text += "{{ end }}{{ end }}"
    if results:
        text += f"{{{{ if $in }}}}{_text(results.after)}{{{{ end }}}}"
    return text + f"{{{{ if $speaks }}}}{_prompt(shape)}{{{{ end }}}}"


def _question(shape: ChatShape) -> str:
    first = "eq $i $last" if shape.opening_at_last else "not $opened"
    opened = "" if shape.opening_at_last else "{{ $opened = true }}"
    openings = shape.openings
    both = [_opening(openings[system, False], openings[system, True]) for system in (True, False)]
    system = f"and $.System {_STANDS_LAST}" if shape.system_at_end else "$.System"
    opening = both[0] if both[0] == both[1] else _choice(system, *both)
    return (
        f"{{{{ if {first} }}}}{opening}{opened}{{{{ else }}}}{_text(shape.question)}{{{{ end }}}}"
        f"{{{{ .Content }}}}{_text(shape.question_end)}"
    )


def _opening(without: Pieces, with_tools: Pieces) -> str:
    texts = {"system": "{{ $.System }}", "tools": '{{ template "tools" $.Tools }}'}
    if without == with_tools:
        return _pieces(without, texts)
    return _choice("$.Tools", _pieces(with_tools, texts), _pieces(without, texts))


def _answer(shape: ChatShape) -> str:
    text = _text(shape.answer)
    if shape.thoughts:
        text += _thought(shape.thoughts)
    text += _said(shape.calls) if shape.calls else "{{ .Content }}"
    # what stands last is to be continued
    return text + f"{{{{ if not {_STANDS_LAST} }}}}{_text(shape.answer_end)}{{{{ end }}}}"


def _thought(thoughts: Thoughts) -> str:
    here = ".Thinking" if thoughts.every else "and .Thinking (gt $i $last)"
    before, after = _text(thoughts.before), _text(thoughts.after)
    return f"{{{{ if {here} }}}}{before}{{{{ .Thinking }}}}{after}{{{{ end }}}}"


def _said(calls: Calls) -> str:
    # not "if .ToolCalls", which Ollama would take for the calls themselves
    called = "gt (len .ToolCalls) 0"
    if calls.beside_words is None:
        text = f"{{{{ if {called} }}}}{{{{ else }}}}{{{{ .Content }}}}{{{{ end }}}}"
    elif calls.beside_words:
        beside = f"{{{{ if {called} }}}}{_text(calls.beside_words)}{{{{ end }}}}"
        text = f"{{{{ .Content }}}}{{{{ if .Content }}}}{beside}{{{{ end }}}}"
    else:
        text = "{{ .Content }}"
    call = _pieces(
        calls.call,
        {
            "name": "{{ $call.Function.Name }}",
            "arguments": '{{ template "object" $call.Function.Arguments }}',
            "id": "{{ $call.ID }}",
        },
    )
    return (
        f"{text}{{{{ if .ToolCalls }}}}{_text(calls.before)}{{{{ range $n, $call := .ToolCalls }}}}"
        f"{{{{ if $n }}}}{_text(calls.between)}{{{{ end }}}}{call}{{{{ end }}}}"
        f"{_text(calls.after)}{{{{ end }}}}"
    )


def _result(results: Results) -> str:
    result = _pieces(
        results.result,
        {
            "result": "{{ .Content }}",
            "result as JSON": '{{ printf "%q" .Content }}',
            "id": "{{ .ToolCallID }}",
            "name": "{{ .ToolName }}",
        },
    )
    begun = _choice("$in", _text(results.between), _text(results.before))
    return f"{begun}{{{{ $in = true }}}}{result}"


def _prompt(shape: ChatShape) -> str:
    prompt, silent = _text(shape.prompt), _text(shape.prompt_without_thought)
    return prompt if prompt == silent else _choice("and .IsThinkSet (not .Think)", silent, prompt)


def _tool_list(tools: Tools) -> str:
    tool = _Json(tools.indent).tool(whole=tools.whole)
    between = _text(tools.between)
    return f"{{{{ range $n, $tool := . }}}}{{{{ if $n }}}}{between}{{{{ end }}}}{tool}{{{{ end }}}}"


class _Json:
    """Writes JSON as ``json.dumps(…, indent=indent)`` does, with template code for the values."""

    def __init__(self, indent: int | None) -> None:
        self._indent = indent

    def tool(self, *, whole: bool) -> str:
        depth = 2 if whole else 1
        function = self._object(
            depth,
            '"name": {{ printf "%q" .Function.Name }}',
            ".Function.Description",
            '"description": {{ printf "%q" .Function.Description }}',
            "",
            f'"parameters": {self._parameters(depth + 1)}',
        )
        if not whole:
            return function
        return self._object(1, '"type": "function"', "", f'"function": {function}')

    def _parameters(self, depth: int) -> str:
        each = f'{{{{ $comma }}}}{{{{ printf "%q" $key }}}}: {self._property(depth + 2)}'
        comma = self._quoted(self._comma(depth + 1))
        properties = (
            '{{ "{" }}{{ if .Function.Parameters.Properties }}'
            f'{self._open(depth + 1)}{{{{ $comma := "" }}}}'
            "{{ range $key, $property := .Function.Parameters.Properties }}"
            f"{each}{{{{ $comma = {comma} }}}}{{{{ end }}}}{self._close(depth + 1)}"
            '{{ end }}{{ "}" }}'
        )
        return self._object(
            depth,
            '"type": {{ printf "%q" .Function.Parameters.Type }}',
            "",
            f'"properties": {properties}',
            ".Function.Parameters.Required",
            f'"required": {self._list(depth + 1, ".Function.Parameters.Required")}',
        )

    def _property(self, depth: int) -> str:
        # an object, or of several types: fields that only newer versions of Ollama have
        simple = self._object(
            depth,
            '"type": {{ printf "%q" (index $property.Type 0) }}',
            "$property.Description",
            '"description": {{ printf "%q" $property.Description }}',
            "$property.Enum",
            f'"enum": {self._list(depth + 1, "$property.Enum")}',
            "$property.Items",
            f'"items": {self._items(depth + 1)}',
        )
        return (
            "{{ $simple := false }}{{ if eq (len $property.Type) 1 }}"
            '{{ $simple = ne (index $property.Type 0) "object" }}{{ end }}'
            + _choice("$simple", simple, "{{ json $property }}")
        )

    def _items(self, depth: int) -> str:
        comma = self._quoted(self._comma(depth))
        return (
            f'{{{{ "{{" }}}}{self._open(depth)}{{{{ $sep := "" }}}}'
            "{{ range $name, $item := $property.Items }}"
            '{{ $sep }}{{ printf "%q" $name }}: {{ template "json" $item }}'
            f'{{{{ $sep = {comma} }}}}{{{{ end }}}}{self._close(depth)}{{{{ "}}" }}}}'
        )

    def _list(self, depth: int, values: str) -> str:
        return (
            f"[{self._open(depth)}{{{{ range $n, $item := {values} }}}}"
            f"{{{{ if $n }}}}{self._comma(depth)}{{{{ end }}}}"
            f'{{{{ template "json" $item }}}}{{{{ end }}}}{self._close(depth)}]'
        )

    def _object(self, depth: int, first: str, *fields: str) -> str:
        """Of a first field and pairs of a condition (none: always) and a field."""
        text = f'{{{{ "{{" }}}}{self._open(depth)}{first}'
        for condition, written in zip(fields[::2], fields[1::2], strict=True):
            written = self._comma(depth) + written
            text += f"{{{{ if {condition} }}}}{written}{{{{ end }}}}" if condition else written
        return f'{text}{self._close(depth)}{{{{ "}}" }}}}'

    def _comma(self, depth: int) -> str:
        return ", " if self._indent is None else "," + self._open(depth)

    def _open(self, depth: int) -> str:
        return "" if self._indent is None else "\n" + " " * self._indent * depth

    def _close(self, depth: int) -> str:
        return self._open(depth - 1)

    def _quoted(self, text: str) -> str:
        return '"' + text.replace("\n", "\\n") + '"'


def _choice(condition: str, yes: str, no: str) -> str:
    return f"{{{{ if {condition} }}}}{yes}{{{{ else }}}}{no}{{{{ end }}}}"


def _pieces(pieces: Pieces, code: dict[str, str]) -> str:
    return "".join(_text(p) if isinstance(p, str) else code[p.field] for p in pieces)


def _text(text: str) -> str:
    """A literal text; an action may follow it, so that no brace may touch its own."""
    return _BRACES.sub(lambda braces: f'{{{{ "{braces.group()}" }}}}', text)


_BRACES = re.compile(r"\{{2,}|\{\Z")
