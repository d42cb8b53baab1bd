"""Takes an answer apart while it is generated: parts in a mode's tags, words, calls of tools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attrs import frozen

from ftcore.call_frame import CallFrame

WORDS = "prose"
"""The label of what stands in no tag."""
REASONING = "reasoning"
"""The label of what stands in ``<think>``, which chat templates write."""
CALLS = "calls"
"""The label of calls as they were written."""
THINK = "think"


@frozen
class Piece:
    """A piece of an answer. White space around a part is left out."""

    label: str
    text: str


class AnswerSplitter:
    """Is given an answer piece by piece, and gives the same text as labelled pieces.

    A part begins with a tag of the mode and ends with the same tag's closing one; in it, other
    tags are text.

    :param markers: the tags that the mode writes, as it names them in ``ftcore_markers``.
    :param frame: how calls are written; None where none are looked for.
    """

    def __init__(self, markers: Sequence[str], frame: CallFrame | None) -> None:
        names = [m[1:-1] for m in markers if not m.startswith("</") and f"</{m[1:]}" in markers]
        mark = frame.mark if frame else None
        self._frame = frame
        self._tags = {f"<{n}>": n for n in (THINK, *names) if f"<{n}>" != mark}
        self._waiting: str = ""
        self._label = WORDS
        self._closing: str | None = None
        self._begun = False  # whether the part at hand has shown anything
        self._said = False  # whether the answer has
        self._space: str = ""

    def add(self, text: str) -> Iterator[Piece]:
        """What is certain once this text has come."""
        self._waiting += text
        while True:
            if self._label == CALLS:
                return
            marks = self._marks()
            places = ((self._place(mark), mark) for mark in marks)
            at, mark = min((place for place in places if place[0] >= 0), default=(-1, ""))
            if at < 0:
                break
            yield from self._tell(self._waiting[:at])
            if mark not in self._tags and mark != self._closing:
                self._label, self._waiting = CALLS, self._waiting[at:]
                self._begun = False
                self._space = ""
                return
            self._waiting = self._waiting[at + len(mark) :]
            opens = self._closing is None
            name = self._tags.get(mark, "")
            self._label = (REASONING if name == THINK else name) if opens else WORDS
            self._closing = f"</{name}>" if opens else None
            self._begun = False
            self._space = ""
        held = max((_overlap(self._waiting, mark) for mark in marks), default=0)
        sure = len(self._waiting) - held
        told, self._waiting = self._waiting[:sure], self._waiting[sure:]
        yield from self._tell(told)

    def end(self) -> Iterator[Piece]:
        """The rest, once the answer is over."""
        text, self._waiting = self._waiting, ""
        yield from self._tell(text)

    def _marks(self) -> list[str]:
        """What would end the part at hand."""
        if self._closing is not None:
            return [self._closing]
        marks = list(self._tags)
        if self._frame and (not self._frame.bare or not self._said):
            marks.append(self._frame.mark)
        return marks

    def _place(self, mark: str) -> int:
        frame = self._frame
        if frame and frame.bare and mark == frame.mark:
            return frame.place(self._waiting)
        return self._waiting.find(mark)

    def _tell(self, text: str) -> Iterator[Piece]:
        text = self._space + text
        shown = text.rstrip()
        self._space = text[len(shown) :]
        if not self._begun:
            shown = shown.lstrip()
        if shown:
            self._begun = self._said = True
            yield Piece(self._label, shown)


def _overlap(text: str, mark: str) -> int:
    """How many characters at the end of a text may be the beginning of a mark."""
    return next(n for n in range(min(len(text), len(mark) - 1), -1, -1) if text.endswith(mark[:n]))
