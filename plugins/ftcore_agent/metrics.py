"""Scores generated turns: did the model call when it should, and would its calls have worked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ftcore.values import Json, Message, Prediction, ToolCall
from ftcore_agent.calls import Call, Reading, read_calls, same_json
from ftcore_agent.tool_schemas import argument_faults


def metrics(predictions: Sequence[Prediction]) -> dict[str, float]:
    """Shares between 0 and 1; one whose denominator is empty is left out.

    ``call_decision``
        of all predictions: calls something exactly where the reference does.
    ``valid_json``
        of predictions that begin a call: every call can be parsed (by the rules of JSON, or of
        the syntax that the model used).
    ``known_tool``
        of predictions that begin a call: every call can be parsed and names a listed tool.
    ``arguments_valid``
        of predictions that begin a call: every call can be parsed, names a listed tool and
        satisfies the schema of that tool.
    ``exact_call``
        of predictions whose reference calls: the same calls with the same arguments, in any
        order, and no more; ``1`` equals ``1.0``, ``true`` does not equal ``1``.
    ``ended``
        of all predictions: the model emitted its end-of-turn token by itself.
    """
    readings = [read_calls(prediction.text, prediction.tools) for prediction in predictions]
    pairs = list(zip(predictions, readings, strict=True))
    attempts = [(p, reading) for p, reading in pairs if reading.attempted]
    expected = [(p, reading) for p, reading in pairs if p.reference.tool_calls]
    figures = {
        "call_decision": _share(r.attempted == bool(p.reference.tool_calls) for p, r in pairs),
        "valid_json": _share(r.broken == 0 for _, r in attempts),
        "known_tool": _share(_all_known(r, p.tools) for p, r in attempts),
        "arguments_valid": _share(_all_valid(r, p.tools) for p, r in attempts),
        "exact_call": _share(_same_calls(r, p.reference) for p, r in expected),
        "ended": _share(p.ended for p in predictions),
    }
    return {name: share for name, share in figures.items() if share is not None}


def _share(outcomes: Iterable[bool]) -> float | None:
    counted = list(outcomes)
    return sum(counted) / len(counted) if counted else None


def _functions(tools: Sequence[Json]) -> dict[str, Json]:
    return {tool["function"]["name"]: tool["function"] for tool in tools}


def _all_known(reading: Reading, tools: Sequence[Json]) -> bool:
    known = _functions(tools)
    return reading.broken == 0 and all(call.name in known for call in reading.calls)


def _all_valid(reading: Reading, tools: Sequence[Json]) -> bool:
    known = _functions(tools)
    return _all_known(reading, tools) and not any(
        argument_faults(known[call.name].get("parameters"), call.arguments)
        for call in reading.calls
    )


def _same_calls(reading: Reading, reference: Message) -> bool:
    if reading.broken or len(reading.calls) != len(reference.tool_calls):
        return False
    left = list(reading.calls)
    for wanted in reference.tool_calls:
        match = next((i for i, call in enumerate(left) if _same_call(call, wanted)), None)
        if match is None:
            return False
        del left[match]
    return True


def _same_call(call: Call, wanted: ToolCall) -> bool:
    # dict(): the reference's arguments may be any mapping.
    return call.name == wanted.name and same_json(call.arguments, dict(wanted.arguments))
