"""Laws of a mode's schema and validator: which samples it accepts, and which it refuses."""

from __future__ import annotations

from collections.abc import Iterator

from ftcore.errors import PluginError
from ftcore.mode import CORE_KEYS
from ftcore.testing.closure import open_by_neglect, reference_faults
from ftcore.testing.law import Breach
from ftcore.testing.mutants import Mutant
from ftcore.testing.subject import EXAMPLES, Judged, Subject, UncheckedError
from ftcore.testing.walk import SchemaReader, follow
from ftcore.values import Problem

MEND_MUTANT = {
    "dropped": "the sample satisfied the schema only with this key: see that the validator, or an "
    "extension, does not put it back",
    "type": "name the type in the schema; where any JSON may stand, write the schema `true`",
    "extra": 'close the object: "additionalProperties": false; where the keys are the user\'s own, '
    'say so: "additionalProperties": true',
}


def schema_is_sound(subject: Subject) -> Iterator[Breach]:
    """The schema is one of draft 2020-12, of an object, and its references lead into itself."""
    subject.module  # noqa: B018 - unchecked where the mode cannot be loaded
    try:
        schema = subject.open().schema
    except PluginError as error:
        yield Breach(error.message, "give a JSON Schema of draft 2020-12; docs/hooks.md shows one")
        return
    for at, fault in reference_faults(SchemaReader(schema)):
        yield Breach(f"schema {at}: {fault}", 'put it under "$defs" and write "#/$defs/NAME"')
    if schema.get("type") != "object":
        yield Breach(
            "the schema does not say that a sample is an object", 'write "type": "object" in it'
        )
    for key in CORE_KEYS:
        if key in schema.get("properties", {}) or key in schema.get("required", ()):
            yield Breach(
                f"the schema names {key!r}, which is the core's and taken off every sample",
                "leave it out of the schema",
            )


def schema_is_closed(subject: Subject) -> Iterator[Breach]:
    """Every object of the schema refuses keys that it does not name, or says that it is open."""
    try:
        found = open_by_neglect(SchemaReader(subject.mode.schema))
    except LookupError as error:
        raise UncheckedError("the schema has a reference that leads nowhere") from error
    for at in found:
        yield Breach(
            f"schema {at or '/'}: an object that does not say what becomes of unknown keys",
            MEND_MUTANT["extra"],
        )


def examples_are_accepted(subject: Subject) -> Iterator[Breach]:
    """The mode ships samples of its own, and they are valid without a warning."""
    if not subject.examples:
        yield Breach(
            f"the mode ships no samples of its own ({EXAMPLES})",
            f"write {EXAMPLES} into the mode's package, and name it in its package data",
        )
    for item, judged in zip(subject.examples, subject.judged_examples, strict=True):
        if isinstance(item, Problem) or judged is None:
            yield Breach(str(item), "mend the line")
            continue
        named = item.data.get("cognitive_mode", subject.info.name)
        if named != subject.info.name:
            yield Breach(f"{item.place}: is of the mode {named!r}", "correct its cognitive_mode")
        if judged.failure:
            yield Breach(judged.failure, "let the validator look only for keys that may be there")
        for problem in judged.problems:
            yield Breach(str(problem), "mend the sample, or what refuses it")


def invalid_examples_are_refused(subject: Subject) -> Iterator[Breach]:
    """What the mode says it refuses is refused, with the pointer that it says."""
    for item in subject.invalid_examples:
        if isinstance(item, Problem):
            yield Breach(str(item), item.hint or "mend the line")
            continue
        judged = subject.judge(item.sample)
        place = item.sample.place
        if judged.failure:
            yield Breach(judged.failure, "let the validator look only for keys that may be there")
        elif not judged.errors:
            yield Breach(f"{place}: is accepted", "write the check, or remove the line")
        elif item.pointer not in (pointers := [problem.pointer for problem in judged.errors]):
            said = ", ".join(map(repr, pointers))
            yield Breach(
                f"{place}: is refused at {said}, not at {item.pointer!r}",
                "correct the pointer that the validator gives, or that of the line",
            )
        yield from _lost_pointers(place, judged)


def mutants_are_refused(subject: Subject) -> Iterator[Breach]:
    """A valid sample less a required key, with another type or an unknown key is refused."""
    told: set[object] = set()
    for mutant, judged in subject.mutants:
        same_fault = mutant.kind, *("*" if isinstance(step, int) else step for step in mutant.path)
        if same_fault in told:
            continue
        place = f"{mutant.sample.place} {mutant.what}"
        if judged.failure:
            yield Breach(
                f"validating {place} fails: {judged.failure}",
                "let the validator look only for keys that may be there",
            )
            told.add(same_fault)
        elif mutant.refused and not judged.errors:
            yield Breach(f"{place} is accepted", MEND_MUTANT[mutant.kind])
            told.add(same_fault)
        yield from _lost_pointers(place, judged)


def accepted_mutants(subject: Subject) -> Iterator[Mutant]:
    """The mutants that are valid samples themselves."""
    return (m for m, judged in subject.mutants if judged.accepted and not m.refused)


def _lost_pointers(place: str, judged: Judged) -> Iterator[Breach]:
    for problem in judged.problems:
        try:
            follow(problem.pointer, judged.sample.data)
        except LookupError:
            yield Breach(
                f"{place}: a problem points to {problem.pointer!r}, where nothing is",
                "point to what is there, for a missing key to the object that lacks it",
            )
