"""Describes a reply of dual mode in GBNF: a thought, then a world, as the formatter writes them."""

from __future__ import annotations

GRAMMAR = r"""root ::= "<thought>" text "</thought>\n<world>" text "</world>"

# It shows something, and holds none of the four tags. Other words in angle brackets must not
# begin with t or w: that would take a rule for every letter of a tag.
text ::= shown (shown | space)*
shown ::= [^<\x00-\x20\x7F-\xA0\u00AD\u1680\u2000-\u200F\u2028-\u202F\u205F-\u206F\u3000\uFEFF] | "<"+ ([^</tTwW] | "/" [^</tTwW])
space ::= [ \n\t]
"""  # noqa: E501
"""A reply. White space around a text is as free as in the samples; in front there is none."""
