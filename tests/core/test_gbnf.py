"""GBNF is read as llama.cpp reads it, and tells which texts it describes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.gbnf import GbnfError, named_rules, parse_gbnf, quoted

GRAMMAR = r"""
root ::= greeting (", " name)? [!?]{1,2}  # a comment
greeting ::=
  "hi" |
  "h\u00e9" "\x6C"* "\"o\""
name ::= [A-Z] [^A-Z\n !?]+ | .
"""

DESCRIBED = ["hi!", "hi?!", 'hé"o"!', 'hélll"o", Anna?', "hi, \n!"]
OTHER = ["", "hi", "hi!!!", "hi, !", "hi, ANNA!", 'hé"o!', "hi! "]


@pytest.mark.parametrize("text", DESCRIBED)
def test_what_a_grammar_describes_is_accepted(text):
    grammar = parse_gbnf(GRAMMAR)
    assert grammar.accepts(text)
    assert grammar.accepted(text) == len(text) + 1


@pytest.mark.parametrize("text", OTHER)
def test_anything_else_is_not(text):
    assert not parse_gbnf(GRAMMAR).accepts(text)


@pytest.mark.parametrize(
    ("text", "known"), [("hi", 2), ("ho!", 1), ("hi!!!", 4), ("hi, ANNA!", 5), ("x", 0)]
)
def test_it_is_known_how_far_a_text_may_go(text, known):
    assert parse_gbnf(GRAMMAR).accepted(text) == known


@pytest.mark.parametrize(
    ("times", "counts"),
    [
        ("*", {0, 1, 2, 3, 4, 5}),
        ("+", {1, 2, 3, 4, 5}),
        ("?", {0, 1}),
        ("{2}", {2}),
        ("{2,}", {2, 3, 4, 5}),
        ("{1,3}", {1, 2, 3}),
        ("{0}", {0}),
    ],
)
def test_repetitions(times, counts):
    grammar = parse_gbnf(f'root ::= "ab"{times}')
    assert {n for n in range(6) if grammar.accepts("ab" * n)} == counts


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('rot ::= "a"', "no rule root"),
        ("root ::= b", "names b, and there is no such rule"),
        ('root ::= "a', "line 1: the literal or class does not end"),
        ('root ::= "a"\nb ::= [a', "line 2"),
        ('root ::= ("a"', "closing parenthesis"),
        ('root ::= "a"\nroot ::= "b"', "line 2: the rule root stands twice"),
        ('root = "a"', "::= is expected"),
        ('root ::= "a" )', "line break is expected"),
        (r'root ::= "\q"', "wrong escape"),
        ('root ::= root "a"', "root leads to itself"),
        ('root ::= b\nb ::= "a"? root', "leads to itself"),
        ('root ::= ("a"?)*', "leads to itself"),
        ('root ::= "a"{3,2}', "cannot be"),
        ('root ::= "a"{,2}', "line break is expected"),
    ],
)
def test_what_llama_cpp_would_refuse_is_refused_with_a_reason(text, why):
    with pytest.raises(GbnfError, match=why):
        parse_gbnf(text)


def test_the_names_that_are_missing_are_told():
    text = 'root ::= a | b ("c" d)*\na ::= "x"'
    assert named_rules(text) == ({"root", "a"}, {"b", "d"})


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_a_quoted_text_describes_itself(text):
    assert parse_gbnf(f"root ::= {quoted(text)}").accepts(text)
