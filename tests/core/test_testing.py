"""The laws that every mode keeps: a sound mode passes, and each law fails for what breaks it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ftcore.cli.check_mode import check_mode
from ftcore.cli.common import Context
from ftcore.errors import PluginError
from ftcore.testing import ModeConformance
from ftcore.testing.closure import open_by_neglect
from ftcore.testing.law import Verdict
from ftcore.testing.laws import LAWS, examine
from ftcore.testing.predictions import spoken
from ftcore.testing.subject import Subject
from ftcore.testing.walk import SchemaReader
from ftcore.values import Message, Part, ToolCall

PAGE = (Path(__file__).parents[2] / "docs" / "testing-a-mode.md").read_text(encoding="utf-8")

TEXT = {"type": "string", "minLength": 1}
SCHEMA = {
    "type": "object",
    "properties": {
        "day": TEXT,
        "line": TEXT,
        "weather": {
            "type": "object",
            "properties": {"sky": TEXT, "degrees": {"type": "number"}},
            "required": ["sky"],
            "additionalProperties": False,
        },
        "tags": {"type": "array", "items": TEXT},
    },
    "required": ["day", "line"],
    "additionalProperties": False,
}
EXAMPLES: list[dict[str, Any]] = [
    {"day": "rain, two letters", "line": "A wet day.", "weather": {"sky": "grey"}},
    {"day": "sun, no letters", "line": "A dry day.", "tags": ["dry", "quiet"]},
    {"day": "fog", "line": "Nothing seen.", "weather": {"sky": "white", "degrees": 7.5}},
]
INVALID: list[Any] = [
    {"sample": {"day": "rain"}, "pointer": "", "why": "no line"},
    {"sample": {"day": "rain", "line": "a\nb"}, "pointer": "/line"},
]
CODE = """
import json
from ftcore import hookimpl
from ftcore.values import Conversation, Message, Part, Problem

SCHEMA = json.loads('''{schema}''')

@hookimpl
def ftcore_sample_schema():
    return SCHEMA

@hookimpl
def ftcore_format_sample(sample, target):
    asked = sample["day"] + sample.get("weather", {{}}).get("sky", "")
    said = sample["line"]
    return Conversation((
        Message("user", (Part("day", asked),)),
        Message("assistant", (Part("line", said),), trained=True),
    ))

@hookimpl
def ftcore_config_defaults():
    return {{"learning_rate": 5e-6}}

@hookimpl
def ftcore_validate_sample(sample):
    return [Problem("must be one line", "/line")] if "\\n" in sample["line"] else []

@hookimpl
def ftcore_import_chat(chat):
    texts = [message["content"] for message in chat["messages"]]
    return {{"day": texts[-2], "line": texts[-1]}} if len(texts) > 1 else dict(chat)

@hookimpl
def ftcore_markers():
    return ["<line>", "</line>"]

@hookimpl
def ftcore_grammar(tools):
    return 'root ::= .+'

@hookimpl
def ftcore_metrics(predictions):
    same = [p.text == p.reference.text for p in predictions]
    return {{"same_line": sum(same) / len(same)}} if same else {{}}
"""

Install = Callable[..., Path]


@pytest.fixture
def install(distribution: Install) -> Install:
    """Installs the mode ``journal`` with its samples, spoiled as the test says."""

    def put(
        *changes: tuple[str, str],
        append: str = "",
        schema: object = SCHEMA,
        examples: Sequence[object] | None = EXAMPLES,
        invalid: Sequence[object] | None = INVALID,
    ) -> Path:
        code = CODE.format(schema=json.dumps(schema))
        for old, new in changes:
            assert old in code
            code = code.replace(old, new)
        package = distribution("ftc-journal", code + textwrap.dedent(append), mode="journal")
        for name, lines in (("examples", examples), ("invalid_examples", invalid)):
            if lines is not None:
                written = (x if isinstance(x, str) else json.dumps(x) for x in lines)
                (package / f"{name}.jsonl").write_text("\n".join(written), encoding="utf-8")
        return package

    return put


def schema_with(**properties: object) -> dict[str, Any]:
    return {**SCHEMA, "properties": {**SCHEMA["properties"], **properties}}


def failed(verdicts: Sequence[Verdict]) -> set[str]:
    return {verdict.law.name for verdict in verdicts if verdict.state == "failed"}


# A sound mode


def test_a_sound_mode_keeps_every_law(install):
    install()
    verdicts = examine(Subject("journal"))
    assert [(v.law.name, v.breaches) for v in verdicts if v.state != "ok"] == []
    assert [v.note for v in verdicts if v.note] == []


def test_a_mode_of_two_hooks_keeps_them_and_is_told_what_says_nothing_of_it(distribution):
    package = distribution("ftc-haiku", mode="haiku")
    (package / "examples.jsonl").write_text('{"ask": "hi", "say": "ho"}\n', encoding="utf-8")
    verdicts = examine(Subject("haiku"))
    assert failed(verdicts) == set()
    assert {v.law.name for v in verdicts if v.note} == {
        "invalid_examples_are_refused",
        "markers_are_tags",
        "chats_become_json",
        "grammar_describes_answers",
        "defaults_make_settings",
        "metrics_are_finite",
        "perfect_beats_wrong",
    }


def test_an_extension_that_is_installed_beside_it_is_not_the_modes_fault(install, distribution):
    install()
    wrap = "from ftcore import hookimpl\n@hookimpl(wrapper=True)\ndef ftcore_format_sample():\n"
    distribution("ftc-bad", f"{wrap}    yield 1 / 0", extension="bad")
    assert failed(examine(Subject("journal"))) == set()


def test_an_unknown_mode_is_no_broken_law(install):
    install()
    with pytest.raises(PluginError, match="no mode 'jurnal'") as caught:
        Subject("jurnal")
    assert "did you mean 'journal'" in caught.value.hint


# Each law, broken

METRICS = 'return {"same_line": sum(same) / len(same)} if same else {}'
SAID = 'said = sample["line"]'
CHAT = '{"day": texts[-2], "line": texts[-1]} if len(texts) > 1 else dict(chat)'
VALIDATE = 'return [Problem("must be one line", "/line")] if "\\n" in sample["line"] else []'
VARIANTS = {
    "anyOf": [
        {"type": "object", "properties": {"sky": TEXT}, "additionalProperties": False},
        {"type": "object", "properties": {"sea": TEXT}},
    ]
}
BROKEN: dict[str, tuple[str, dict[str, Any]]] = {
    "a hook without its mark": (
        "hooks_are_well_formed",
        {"append": "def ftcore_nothing(): pass"},
    ),
    "a parameter that no hook has": (
        "hooks_are_well_formed",
        {"changes": [("ftcore_validate_sample(sample)", "ftcore_validate_sample(sampel)")]},
    ),
    "no formatter": (
        "hooks_are_well_formed",
        {"changes": [("@hookimpl\ndef ftcore_format_sample", "def format_sample")]},
    ),
    "an import that fails": ("hooks_are_well_formed", {"append": "import no_such_module"}),
    "another version of the hooks": ("hooks_are_well_formed", {"append": "FTCORE_API = 999"}),
    "a heavy import": ("imports_are_light", {"append": "import jax"}),
    "a heavy import in a hook": (
        "imports_are_light",
        {"changes": [(SAID, f"import jax; {SAID}")]},
    ),
    "no schema": ("schema_is_sound", {"schema": {"type": "strnig"}}),
    "a reference to nowhere": (
        "schema_is_sound",
        {"schema": schema_with(mood={"$ref": "#/$defs/mood"})},
    ),
    "a reference to another host": (
        "schema_is_sound",
        {"schema": schema_with(mood={"$ref": "https://example.org/mood"})},
    ),
    "a key of the core": ("schema_is_sound", {"schema": schema_with(comment=TEXT)}),
    "no word of what a sample is": (
        "schema_is_sound",
        {"schema": {key: value for key, value in SCHEMA.items() if key != "type"}},
    ),
    "an open object that no sample has": (
        "schema_is_closed",
        {"schema": schema_with(mood={"type": "object", "properties": {"word": TEXT}})},
    ),
    "an open branch that no sample takes": (
        "schema_is_closed",
        {
            "schema": schema_with(weather=VARIANTS),
            "examples": [EXAMPLES[1], {"day": "fog", "line": "No."}],
        },
    ),
    "no samples": ("examples_are_accepted", {"examples": None}),
    "a sample that is refused": (
        "examples_are_accepted",
        {"examples": [*EXAMPLES, {"day": "fog", "line": "a\nb"}]},
    ),
    "a sample of another mode": (
        "examples_are_accepted",
        {"examples": [*EXAMPLES, {**EXAMPLES[0], "cognitive_mode": "diary"}]},
    ),
    "a line that is no JSON": ("examples_are_accepted", {"examples": [*EXAMPLES, "{"]}),
    "a warning": (
        "examples_are_accepted",
        {"changes": [(VALIDATE, 'return [Problem("dull", severity="warning")]')], "invalid": None},
    ),
    "an invalid sample that is accepted": (
        "invalid_examples_are_refused",
        {"invalid": [*INVALID, {"sample": EXAMPLES[0], "pointer": "/line"}]},
    ),
    "an invalid sample with another pointer": (
        "invalid_examples_are_refused",
        {"invalid": [{**INVALID[1], "pointer": "/day"}]},
    ),
    "a warning instead of a refusal": (
        "invalid_examples_are_refused",
        {"changes": [('one line", "/line")', 'one line", "/line", severity="warning")')]},
    ),
    "an invalid sample without a pointer": (
        "invalid_examples_are_refused",
        {"invalid": [{"sample": {"day": "rain"}}]},
    ),
    "a pointer to nowhere": (
        "invalid_examples_are_refused",
        {
            "changes": [('"must be one line", "/line"', '"must be one line", "/lines"')],
            "invalid": [{**INVALID[1], "pointer": "/lines"}],
        },
    ),
    "a key of no type": ("mutants_are_refused", {"schema": schema_with(tags={})}),
    "items of no type": (
        "mutants_are_refused",
        {"schema": schema_with(tags={"type": "array", "items": {"minLength": 1}})},
    ),
    "a validator that fails without an optional key": (
        "mutants_are_refused",
        {
            "changes": [
                (VALIDATE, 'return [] if sample.get("weather", {"degrees": 1})["degrees"] else []')
            ],
            "examples": EXAMPLES[1:],
            "invalid": None,
        },
    ),
    "a formatter that fails for a sample": (
        "formatting_is_total",
        {"changes": [(SAID, f'sample["weather"]; {SAID}')]},
    ),
    "a formatter that fails without an optional key": (
        "formatting_is_total",
        {"changes": [(SAID, f'sample["weather"]; {SAID}')], "examples": EXAMPLES[::2]},
    ),
    "a formatter that fails for some templates": (
        "formatting_is_total",
        {"changes": [(SAID, f"{SAID}; assert target.system or target.tools")]},
    ),
    "a formatter that gives no conversation": (
        "formatting_is_total",
        {"changes": [(SAID, f'{SAID}\n    if target.reasoning: return "{{said}}"')]},
    ),
    "a formatter with a memory": (
        "formatting_is_deterministic",
        {
            "changes": [(SAID, f"{SAID} + str(len(SEEN)); SEEN.append(1)")],
            "append": "SEEN = []",
        },
    ),
    "a formatter that goes through a set": (
        "formatting_is_deterministic",
        {"changes": [(SAID, f"{SAID} + ' '.join(set('abcdefghijkl'))")]},
    ),
    "a formatter that changes the sample": (
        "formatting_changes_nothing",
        {"changes": [(SAID, f'{SAID}; sample["line"] = ""')]},
    ),
    "a formatter that changes what the sample holds": (
        "formatting_changes_nothing",
        {"changes": [(SAID, f'{SAID}; sample.get("tags", [""]).append("more")')]},
    ),
    "nothing is trained": (
        "formatting_trains_something",
        {"changes": [("trained=True", 'trained="sky" in sample.get("weather", {})')]},
    ),
    "silence is trained": ("formatting_trains_something", {"changes": [(SAID, 'said = " "')]}),
    "the same is trained always": (
        "formatting_trains_something",
        {"changes": [(SAID, 'said = "A day."')]},
    ),
    "a marker that is no tag": ("markers_are_tags", {"changes": [('"<line>"', '"line"')]}),
    "one text instead of markers": (
        "markers_are_tags",
        {"changes": [('["<line>", "</line>"]', '"<line>"')]},
    ),
    "a chat that is changed": (
        "chats_become_json",
        {"changes": [("    texts =", '    chat["messages"].reverse(); texts =')]},
    ),
    "a chat that is too short": (
        "chats_become_json",
        {"changes": [(CHAT, '{"day": texts[-2], "line": texts[-1]}')]},
    ),
    "a chat that becomes no JSON": (
        "chats_become_json",
        {"changes": [(CHAT, '{"day": tuple(texts)}')]},
    ),
    "a grammar that is none": (
        "grammar_describes_answers",
        {"changes": [("'root ::= .+'", "'root ::= line'")]},
    ),
    "a grammar of other answers": (
        "grammar_describes_answers",
        {"changes": [("'root ::= .+'", "'root ::= \"<line>\" .*'")]},
    ),
    "a grammar with a rule of the core": (
        "grammar_describes_answers",
        {"changes": [("'root ::= .+'", "'root ::= json-x\\\\njson-x ::= .+'")]},
    ),
    "an unknown setting": (
        "defaults_make_settings",
        {"changes": [('"learning_rate"', '"learnig_rate"')]},
    ),
    "an impossible setting": ("defaults_make_settings", {"changes": [("5e-6", '"fast"')]}),
    "settings in a list": (
        "defaults_make_settings",
        {"changes": [('return {"learning_rate": 5e-6}', "return [5e-6]")]},
    ),
    "a mean of nothing": ("metrics_are_finite", {"changes": [(" if same else {}", "")]}),
    "a likelihood that is not there": (
        "metrics_are_finite",
        {"changes": [(METRICS, 'return {"nll": -sum(p.reference_nll for p in predictions)}')]},
    ),
    "a likelihood that is NaN": (
        "metrics_are_finite",
        {"changes": [(METRICS, 'return {"nll": -sum(p.reference_nll or 0 for p in predictions)}')]},
    ),
    "a figure that falls with quality": (
        "perfect_beats_wrong",
        {"changes": [("p.text == p.reference.text", "p.text != p.reference.text")]},
    ),
    "a figure that silence wins": (
        "perfect_beats_wrong",
        {"changes": [("p.text == p.reference.text", '"\\n" not in p.text')]},
    ),
    "a figure that any answer wins": (
        "perfect_beats_wrong",
        {"changes": [("p.text == p.reference.text", 'p.text.endswith(".")')]},
    ),
    "a validator that can be read only once": (
        "identity_wrapper_changes_nothing",
        {"changes": [(VALIDATE, VALIDATE.replace("return", "yield from"))]},
    ),
    "a hook that looks at its caller": (
        "identity_wrapper_changes_nothing",
        {
            "changes": [
                (
                    'return ["<line>", "</line>"]',
                    'import sys; n = len(sys._getframe(1).f_locals["hook_impls"]); '
                    'return [f"<line{n}>"]',
                )
            ]
        },
    ),
}


@pytest.mark.parametrize(("law", "spoiled"), BROKEN.values(), ids=BROKEN)
def test_a_mode_that_breaks_a_law_breaks_only_that_one(install, law, spoiled):
    rest = {key: value for key, value in spoiled.items() if key != "changes"}
    package = install(*spoiled.get("changes", ()), **rest)
    (package.parent / "jax.py").write_text("", encoding="utf-8")
    verdicts = examine(Subject("journal"))
    assert failed(verdicts) == {law}
    (broken,) = (verdict for verdict in verdicts if verdict.state == "failed")
    for breach in broken.breaches:
        assert breach.what
        assert breach.mend


def test_every_law_was_broken():
    assert {law for law, _ in BROKEN.values()} == {law.name for law in LAWS}


def test_an_open_object_is_found_in_the_schema_and_by_its_mutants(install):
    weather = {key: v for key, v in SCHEMA["properties"]["weather"].items() if key[:3] != "add"}
    install(schema=schema_with(weather=weather))
    verdicts = examine(Subject("journal"))
    assert failed(verdicts) == {"schema_is_closed", "mutants_are_refused"}
    told = [str(breach) for verdict in verdicts for breach in verdict.breaches]
    assert "/properties/weather" in told[0]
    assert "/weather/no_such_key is accepted" in told[1]
    assert all('"additionalProperties": true' in text for text in told)


def test_what_a_broken_mode_keeps_from_being_checked_is_not_called_kept(install):
    install(append="def ftcore_nothing(): pass")
    states = [verdict.state for verdict in examine(Subject("journal"))]
    assert states == ["failed", *["unchecked"] * (len(LAWS) - 1)]


def test_the_page_says_every_law_in_its_words_and_order():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    told = [row for row in rows if any(row.startswith(f"| `{law.name}` |") for law in LAWS)]
    assert [row.split("`")[1] for row in told] == [law.name for law in LAWS]
    assert all(f"| {law.says} " in row for law, row in zip(LAWS, told, strict=True))


def test_the_example_of_the_page_is_refused_where_it_says(install):
    (line,) = re.findall(r"```json\n(.*)\n```", PAGE)
    install(invalid=[line])
    assert failed(examine(Subject("journal"))) == set()


# Which objects of a schema are open by neglect

CLOSED = {"type": "object", "properties": {"a": TEXT}, "additionalProperties": False}
OPEN = {"type": "object", "properties": {"a": TEXT}}


def role(name: str, then: object = CLOSED) -> dict[str, Any]:
    return {"if": {"properties": {"a": {"const": name}}, "required": ["a"]}, "then": then}


BY_ROLE = {"type": "object", "required": ["a"], "properties": {"a": {"enum": ["x", "y"]}}}


@pytest.mark.parametrize(
    ("schema", "pointers"),
    [
        (CLOSED, []),
        (OPEN, [""]),
        ({**OPEN, "additionalProperties": True}, []),
        ({**OPEN, "additionalProperties": OPEN}, ["/additionalProperties"]),
        ({**OPEN, "unevaluatedProperties": False}, []),
        ({"type": ["object", "null"]}, [""]),
        ({"type": "string"}, []),
        ({"type": "array", "items": OPEN}, ["/items"]),
        ({"type": "array", "prefixItems": [CLOSED, OPEN]}, ["/prefixItems/1"]),
        ({**CLOSED, "properties": {"a/b": OPEN}}, ["/properties/a~1b"]),
        ({**CLOSED, "patternProperties": {"^x": OPEN}}, ["/patternProperties/^x"]),
        ({"$ref": "#/$defs/x", "$defs": {"x": CLOSED, "unused": OPEN}}, []),
        ({"$ref": "#/$defs/x", "$defs": {"x": OPEN}}, ["/$defs/x"]),
        ({"$ref": "#x", "$defs": {"y": {"$anchor": "x", **OPEN}}}, ["/$defs/y"]),
        ({**OPEN, "$ref": "#/$defs/x", "$defs": {"x": CLOSED}}, []),
        ({"allOf": [OPEN, CLOSED]}, []),
        ({"allOf": [OPEN]}, ["/allOf/0"]),
        ({"oneOf": [CLOSED, CLOSED]}, []),
        ({"oneOf": [CLOSED, OPEN]}, ["/oneOf/1"]),
        ({**OPEN, "anyOf": [CLOSED, {"required": ["a"]}]}, [""]),
        ({"if": {"required": ["a"]}, "then": CLOSED, "else": CLOSED}, []),
        ({**OPEN, "if": {"required": ["a"]}, "then": CLOSED, "else": False}, []),
        ({**OPEN, "if": {"required": ["a"]}, "then": CLOSED}, [""]),
        ({**CLOSED, "if": {"required": ["a"]}, "then": {"required": ["a"]}}, []),
        ({**BY_ROLE, "allOf": [role("x"), role("y")]}, []),
        ({**BY_ROLE, "allOf": [role("x")]}, [""]),
        ({**BY_ROLE, "allOf": [role("x"), role("y", OPEN)]}, [""]),
        ({**BY_ROLE, "required": [], "allOf": [role("x"), role("y")]}, [""]),
        ({**CLOSED, "properties": {"a": {"$ref": "#"}}}, []),
    ],
)
def test_an_object_must_say_what_becomes_of_keys_that_it_does_not_name(schema, pointers):
    assert open_by_neglect(SchemaReader(schema)) == pointers


# What a perfect model says


def test_a_perfect_model_says_what_the_core_has_the_model_learn(tokenizer):
    from ftcore.render import Renderer
    from ftcore.template import with_ftcore_template
    from ftcore.values import Conversation

    said = Message(
        "assistant",
        (Part("", "Look: "), Part("", "now.")),
        (Part("", "I call twice."),),
        (ToolCall("clock", {"zone": "é", "n": 1.0}), ToolCall("clock", {})),
        trained=True,
    )
    renderer = Renderer(with_ftcore_template(tokenizer))
    (turn,) = renderer.turns(Conversation((Message("user", (Part("", "When?"),)), said)))
    assert turn.answer.startswith(spoken(said))
    assert len(turn.answer) - len(spoken(said)) == len("<|im_end|>")


# The two forms


@pytest.fixture
def environment() -> Callable[[Path], dict[str, str]]:
    """For the folder of an installed mode, the environment of a process that finds it."""

    def of(package: Path) -> dict[str, str]:
        path = [str(package.parent), *(step for step in sys.path if step)]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}

    return of


def run(code: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env, cwd=cwd
    )


THREE_LINES = """
from ftcore.testing import ModeConformance
class TestJournal(ModeConformance):
    mode = "journal"
"""


def test_three_lines_are_one_test_for_each_law(install, environment, tmp_path):
    package = install(("p.text ==", "p.text !="))
    (tmp_path / "test_journal.py").write_text(THREE_LINES, encoding="utf-8")
    code = "import pytest; raise SystemExit(pytest.main(['-q', '-p', 'no:cacheprovider']))"
    done = run(code, environment(package), tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"1 failed, {len(LAWS) - 1} passed" in done.stdout
    assert "test_perfect_beats_wrong" in done.stdout
    assert "mend: give a figure that rises with quality" in done.stdout
    assert "def test(" not in done.stdout


def test_laws_that_cannot_be_checked_are_skipped_beside_the_one_that_fails(
    install, environment, tmp_path
):
    package = install(append="def ftcore_nothing(): pass")
    (tmp_path / "test_journal.py").write_text(THREE_LINES, encoding="utf-8")
    code = "import pytest; raise SystemExit(pytest.main(['-q', '-p', 'no:cacheprovider']))"
    done = run(code, environment(package), tmp_path)
    assert done.returncode == 1
    assert f"1 failed, {len(LAWS) - 1} skipped" in done.stdout
    assert "ftcore_nothing is not marked" in done.stdout


def test_a_class_that_names_no_mode_is_told_so():
    with pytest.raises(TypeError, match='mode = "NAME"'):

        class TestNothing(ModeConformance):  # pyright: ignore[reportUnusedClass]
            pass


def test_neither_form_needs_pytest_or_torch(install, environment, tmp_path):
    code = """
    import sys
    for name in ("pytest", "torch", "transformers", "datasets", "trl"):
        sys.modules[name] = None
    from ftcore.cli.check_mode import check_mode
    from ftcore.cli.common import Context
    check_mode.main(["journal"], obj=Context())
    """
    done = run(textwrap.dedent(code), environment(install()), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"all {len(LAWS)} laws hold" in done.stdout


def check(*arguments: str) -> Any:
    return CliRunner().invoke(check_mode, arguments, obj=Context())


def test_the_command_says_each_law_and_how_to_mend_what_breaks_it(install):
    install(('"<line>"', '"line"'), invalid=None)
    done = check("journal")
    assert done.exit_code == 2
    lines = done.output.splitlines()
    assert lines[0] == "the mode journal (ftc-journal 1.0), module ftc_journal"
    assert [line.split(":")[0].split()[-1] for line in lines if line[0] not in " 0123456789"][
        1:
    ] == [law.name for law in LAWS]
    assert any(line.startswith("FAILED      markers_are_tags: ") for line in lines)
    assert any(line.startswith("    mend: give a list of texts, each a tag") for line in lines)
    assert "(the mode ships no invalid_examples.jsonl)" in done.output
    assert lines[-1] == f"{len(LAWS) - 1} of {len(LAWS)} laws hold, 1 broken"


def test_the_command_gives_json_for_scripts(install):
    install(('"<line>"', '"line"'))
    done = check("journal", "--json")
    assert done.exit_code == 2
    said = json.loads(done.output)
    assert (said["mode"], said["distribution"], said["version"]) == (
        "journal",
        "ftc-journal",
        "1.0",
    )
    laws = {law["law"]: law for law in said["laws"]}
    assert list(laws) == [law.name for law in LAWS]
    assert laws["schema_is_closed"]["state"] == "ok"
    assert laws["markers_are_tags"]["state"] == "failed"
    assert "'line'" in laws["markers_are_tags"]["breaches"][0]["what"]


def test_the_command_is_content_with_a_sound_mode(install):
    install()
    assert check("journal").exit_code == 0
