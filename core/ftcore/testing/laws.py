"""Lists the laws that every mode keeps, and holds them against one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

from ftcore.testing.format_laws import (
    formatting_changes_nothing,
    formatting_is_deterministic,
    formatting_is_total,
    formatting_trains_something,
)
from ftcore.testing.grammar_laws import grammar_describes_answers
from ftcore.testing.law import Breach, Law, Verdict, judge
from ftcore.testing.metric_laws import metrics_are_finite, perfect_beats_wrong
from ftcore.testing.plugin_laws import (
    chats_become_json,
    defaults_make_settings,
    hooks_are_well_formed,
    identity_wrapper_changes_nothing,
    imports_are_light,
    markers_are_tags,
)
from ftcore.testing.sample_laws import (
    examples_are_accepted,
    invalid_examples_are_refused,
    mutants_are_refused,
    schema_is_closed,
    schema_is_sound,
)
from ftcore.testing.subject import INVALID_EXAMPLES, Subject


def _law(
    check: Callable[[Subject], Iterable[Breach]],
    nothing_to_check: Callable[[Subject], str] = lambda subject: "",
) -> Law:
    """The law that a function checks and the first line of its docstring says."""
    says = (inspect.getdoc(check) or "").partition("\n")[0].replace("``", "")
    return Law(check.__name__, says, check, nothing_to_check)


def _unless_implemented(hook: str) -> Callable[[Subject], str]:
    def why(subject: Subject) -> str:
        return "" if hook in subject.hooks else f"the mode does not implement {hook}"

    return why


def _unless_written(subject: Subject) -> str:
    return "" if subject.invalid_examples else f"the mode ships no {INVALID_EXAMPLES}"


LAWS: tuple[Law, ...] = (
    _law(hooks_are_well_formed),
    _law(imports_are_light),
    _law(schema_is_sound),
    _law(schema_is_closed),
    _law(examples_are_accepted),
    _law(invalid_examples_are_refused, _unless_written),
    _law(mutants_are_refused),
    _law(formatting_is_total),
    _law(formatting_is_deterministic),
    _law(formatting_changes_nothing),
    _law(formatting_trains_something),
    _law(markers_are_tags, _unless_implemented("ftcore_markers")),
    _law(chats_become_json, _unless_implemented("ftcore_import_chat")),
    _law(grammar_describes_answers, _unless_implemented("ftcore_grammar")),
    _law(defaults_make_settings, _unless_implemented("ftcore_config_defaults")),
    _law(metrics_are_finite, _unless_implemented("ftcore_metrics")),
    _law(perfect_beats_wrong, _unless_implemented("ftcore_metrics")),
    _law(identity_wrapper_changes_nothing),
)
"""Every law; breaking an early one may keep later ones from being checked."""


def examine(subject: Subject) -> tuple[Verdict, ...]:
    """Holds every law against a mode."""
    return tuple(judge(law, subject) for law in LAWS)
