"""What `ftcore check` says about samples of agent mode that the schema lets pass."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore_agent.tool_schemas import argument_faults, schema_faults
from ftcore_agent.validation import validate

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
    "additionalProperties": False,
}


def tool(name: str = "weather", parameters: Any = WEATHER) -> dict[str, Any]:
    function = {"name": name} | ({} if parameters is None else {"parameters": parameters})
    return {"type": "function", "function": function}


def call(arguments: Any = None, name: str = "weather", id: str | None = None) -> dict[str, Any]:
    arguments = {"city": "Oslo"} if arguments is None else arguments
    made = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return made if id is None else {"id": id, **made}


SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Weather?"}
SAYS = {"role": "assistant", "content": "Rain."}


def calls(*made: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(made)}


def result(id: str | None = None, **more: str) -> dict[str, Any]:
    made = {"role": "tool", "content": "rain", **more}
    return made if id is None else {**made, "tool_call_id": id}


def sample(*messages: dict[str, Any], tools: list[Any] | None = None) -> dict[str, Any]:
    return {"messages": list(messages), "tools": [tool()] if tools is None else tools}


GOOD = {
    "a call at the end": sample(USER, calls(call())),
    "no tools and no call": {"messages": [USER, SAYS]},
    "a system message first": sample(SYSTEM, USER, SAYS),
    "one call and its result without ids": sample(USER, calls(call()), result(), SAYS),
    "one call with an id, its result without": sample(USER, calls(call(id="a")), result(), SAYS),
    "results in another order": sample(
        USER, calls(call(id="a"), call(id="b")), result("b"), result("a"), SAYS
    ),
    "one id in two turns": sample(
        USER, calls(call(id="a")), result("a"), calls(call(id="a")), result("a"), SAYS
    ),
    "several turns": sample(USER, SAYS, USER, calls(call()), result(), SAYS, USER, SAYS),
    "arguments as a string": sample(USER, calls(call('{"city": "Oslo", "days": 2}'))),
    "a tool without parameters": sample(USER, calls(call({})), tools=[tool(parameters=None)]),
    "a named result": sample(USER, calls(call()), result(name="weather"), SAYS),
    "a reference inside the schema": sample(
        USER,
        calls(call()),
        tools=[
            tool(
                parameters={
                    "type": "object",
                    "properties": {"city": {"$ref": "#/$defs/c~1d"}, "$ref": {"type": "string"}},
                    "$defs": {"c/d": {"type": "string"}},
                }
            )
        ],
    ),
    "a default that looks like a reference": sample(
        USER,
        SAYS,
        tools=[tool(parameters={"properties": {"a": {"default": {"$ref": "#/nowhere"}}}})],
    ),
    "a schema of an older draft": sample(
        USER,
        calls(call({"pair": ["a", 1]})),
        tools=[
            tool(
                parameters={
                    "$schema": "http://json-schema.org/draft-07/schema#",
                    "properties": {"pair": {"items": [{"type": "string"}, {"type": "integer"}]}},
                }
            )
        ],
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_samples_pass(name: str):
    assert validate(GOOD[name]) == []


AT_CALL = "/messages/1/tool_calls/0"
AT_ARGUMENTS = f"{AT_CALL}/function/arguments"
AT_PARAMETERS = "/tools/0/function/parameters"
REMOTE = {"type": "object", "properties": {"a/b": {"$ref": "https://schemas.invalid/x.json"}}}

# what is wrong: (the sample, where, words of the message)
BAD = {
    # tools
    "two tools of one name": (
        sample(USER, SAYS, tools=[tool(), tool()]),
        "/tools/1/function/name",
        "a second tool",
    ),
    "parameters that are no schema": (
        sample(USER, SAYS, tools=[tool(parameters={"properties": {"a": {"type": "text"}}})]),
        f"{AT_PARAMETERS}/properties/a/type",
        "no valid JSON Schema",
    ),
    "a pattern that is no regular expression": (
        sample(USER, SAYS, tools=[tool(parameters={"properties": {"a": {"pattern": "["}}})]),
        f"{AT_PARAMETERS}/properties/a/pattern",
        "no valid JSON Schema",
    ),
    "parameters that are no object": (
        sample(USER, SAYS, tools=[tool(parameters={"type": "array"})]),
        f"{AT_PARAMETERS}/type",
        "always an object",
    ),
    "$schema that is no text": (
        sample(USER, SAYS, tools=[tool(parameters={"$schema": ["x"]})]),
        f"{AT_PARAMETERS}/$schema",
        "no valid JSON Schema",
    ),
    "a remote reference": (
        sample(USER, calls(call({"a/b": 1})), tools=[tool(parameters=REMOTE)]),
        f"{AT_PARAMETERS}/properties/a~1b/$ref",
        "leads nowhere",
    ),
    "a local reference to nothing": (
        sample(USER, SAYS, tools=[tool(parameters={"$ref": "#/$defs/x"})]),
        f"{AT_PARAMETERS}/$ref",
        "leads nowhere",
    ),
    # calls
    "a tool that is not listed": (
        sample(USER, calls(call(name="wether"))),
        f"{AT_CALL}/function/name",
        "no tool named",
    ),
    "arguments that are no JSON": (
        sample(USER, calls(call('{"city": Oslo}'))),
        AT_ARGUMENTS,
        "not valid JSON",
    ),
    "empty arguments": (sample(USER, calls(call(""))), AT_ARGUMENTS, "not valid JSON"),
    "arguments that are a list": (sample(USER, calls(call("[1]"))), AT_ARGUMENTS, "not an object"),
    "a key twice": (
        sample(USER, calls(call('{"city": "Oslo", "city": "Rome"}'))),
        AT_ARGUMENTS,
        "stands twice",
    ),
    "NaN in a string": (
        sample(USER, calls(call('{"city": "Oslo", "days": NaN}'))),
        AT_ARGUMENTS,
        "NaN",
    ),
    "a number beyond every float": (
        sample(USER, calls(call('{"city": "Oslo", "days": 1e999}'))),
        AT_ARGUMENTS,
        "too large",
    ),
    "Infinity in an object": (
        sample(USER, calls(call({"city": "Oslo", "days": [float("inf")]}))),
        f"{AT_ARGUMENTS}/days/0",
        "Infinity",
    ),
    "a wrong type in an object": (
        sample(USER, calls(call({"city": "Oslo", "days": "two"}))),
        f"{AT_ARGUMENTS}/days",
        "'two' is not of type 'integer'",
    ),
    "a wrong type in a string": (
        sample(USER, calls(call('{"city": "Oslo", "days": "two"}'))),
        AT_ARGUMENTS,
        "at /days do not satisfy",
    ),
    "a missing argument": (
        sample(USER, calls(call({}))),
        AT_ARGUMENTS,
        "'city' is a required property",
    ),
    "an argument that the tool does not take": (
        sample(USER, calls(call({"city": "Oslo", "unit": "K"}))),
        AT_ARGUMENTS,
        "'unit' was unexpected",
    ),
    "arguments for a tool without parameters": (
        sample(USER, calls(call()), tools=[tool(parameters=None)]),
        AT_ARGUMENTS,
        "has no parameters",
    ),
    "a schema that refers to itself": (
        sample(USER, calls(call()), tools=[tool(parameters={"$ref": "#"})]),
        AT_ARGUMENTS,
        "without end",
    ),
    # ids
    "no id among several calls": (
        sample(USER, calls(call(), call(id="b"))),
        AT_CALL,
        "has no id",
    ),
    "one id for two calls": (
        sample(USER, calls(call(id="a"), call(id="a"))),
        "/messages/1/tool_calls/1/id",
        'have the id "a"',
    ),
    "a result for no call": (
        sample(USER, calls(call(id="a")), result("a"), result("b"), SAYS),
        "/messages/3/tool_call_id",
        'no call of the turn before has the id "b"',
    ),
    "a result with the id of an earlier turn": (
        sample(
            USER,
            calls(call(id="a")),
            result("a"),
            SAYS,
            USER,
            calls(call()),
            result(),
            result("a"),
            SAYS,
        ),
        "/messages/7/tool_call_id",
        "no call",
    ),
    "two results for one call": (
        sample(
            USER, calls(call(id="a"), call(id="b")), result("a"), result("a"), result("b"), SAYS
        ),
        "/messages/3/tool_call_id",
        "has a result already",
    ),
    "two results without ids for one call": (
        sample(USER, calls(call()), result(), result(), SAYS),
        "/messages/3",
        "has a result already",
    ),
    "a result without id after several calls": (
        sample(USER, calls(call(id="a"), call(id="b")), result("a"), result(), SAYS),
        "/messages/3",
        "unclear",
    ),
    "a result with another tool's name": (
        sample(USER, calls(call()), result(name="clock"), SAYS),
        "/messages/2/name",
        "is named",
    ),
    "a call without a result": (
        sample(USER, calls(call(id="a"), call(id="b")), result("a"), SAYS),
        "/messages/1/tool_calls/1",
        "before the next assistant message",
    ),
    "a user speaks before the result": (
        sample(USER, calls(call()), USER, SAYS),
        AT_CALL,
        "before the next user message",
    ),
    # order
    "a second system message": (
        sample(SYSTEM, SYSTEM, USER, SAYS),
        "/messages/1/role",
        "first message",
    ),
    "a late system message": (
        sample(USER, SAYS, SYSTEM, USER, SAYS),
        "/messages/2/role",
        "first message",
    ),
    "the assistant begins": (sample(SAYS), "/messages/0/role", "must answer"),
    "two assistant messages": (sample(USER, SAYS, SAYS), "/messages/2/role", "must answer"),
    "two user messages": (sample(USER, USER, SAYS), "/messages/1/role", "must follow"),
    "a user message instead of an answer": (
        sample(USER, calls(call()), result(), USER, SAYS),
        "/messages/3/role",
        "must follow",
    ),
    "a result without a call": (sample(USER, result(), SAYS), "/messages/1", "must follow"),
    "the user ends": (sample(USER, SAYS, USER), "/messages/2", "ends with a user message"),
    "a tool ends": (
        sample(USER, calls(call()), result()),
        "/messages/2",
        "ends with a tool message",
    ),
    "only a system message": (sample(SYSTEM), "/messages/0", "ends with a system message"),
    # empty turns
    "nothing said": (
        sample(USER, {"role": "assistant", "content": " \n"}),
        "/messages/1",
        "neither says nor calls",
    ),
    "no content at all": (sample(USER, {"role": "assistant"}), "/messages/1", "neither says"),
    "only reasoning": (
        sample(USER, {"role": "assistant", "content": None, "reasoning": "Hm."}),
        "/messages/1",
        "neither says",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_one_fault_is_one_problem_at_its_place_with_a_hint(name: str):
    data, place, words = BAD[name]
    problems = validate(data)
    assert [problem.pointer for problem in problems] == [place]
    assert words in problems[0].message
    assert problems[0].hint


def test_an_unknown_tool_is_answered_with_the_nearest_name():
    (problem,) = validate(sample(USER, calls(call(name="wether"))))
    assert problem.hint == "did you mean 'weather'? listed: weather"


def test_nothing_is_fetched_for_a_remote_reference():
    asked: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        remote = {"$ref": f"http://127.0.0.1:{server.server_port}/schema.json"}
        assert schema_faults(remote)
        assert argument_faults(remote, {"city": "Oslo"})
        server.shutdown()
    assert asked == []


def test_all_problems_are_told_at_once():
    data = sample(SYSTEM, USER, calls(call("{")), USER, calls(call(name="x")))
    assert len(validate(data)) == 3


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
names = st.sampled_from(["a", "b", "weather"])
ids = st.none() | st.sampled_from(["1", "2", "None"])
keywords = st.sampled_from(["type", "properties", "$ref", "$id", "required", "enum", "items"])
schemas = (
    st.none() | st.just(WEATHER) | st.dictionaries(keywords | st.text(max_size=4), json_values)
)
drawn_calls = st.builds(
    lambda arguments, name, id: call(arguments, name, id),
    st.dictionaries(st.text(max_size=4), json_values, max_size=3) | st.text(max_size=9),
    names,
    ids,
)
drawn_messages = st.one_of(
    st.just(SYSTEM),
    st.just(USER),
    st.just(SAYS),
    st.builds(lambda made: calls(*made), st.lists(drawn_calls, min_size=1, max_size=3)),
    st.builds(lambda id: result(id), ids),
    st.builds(lambda id: result(id, name="a"), ids),
)
drawn_samples = st.fixed_dictionaries(
    {
        "messages": st.lists(drawn_messages, min_size=1, max_size=7),
        "tools": st.lists(st.builds(tool, names, schemas), max_size=3),
    }
)


@settings(max_examples=300, deadline=None)
@given(drawn_samples)
def test_whatever_the_schema_lets_pass_is_judged_without_a_crash(data: dict[str, Any]):
    before = json.dumps(data)
    problems = validate(data)
    assert json.dumps(data) == before
    for problem in problems:
        assert problem.message
        assert problem.hint
        node: Any = data
        for step in problem.pointer.split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            node = node[int(key)] if isinstance(node, list) else node[key]
