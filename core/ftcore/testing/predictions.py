"""Makes what a perfect model would say of a mode's samples, and what hopeless ones would."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence

import attrs

from ftcore.values import Conversation, Message, Prediction, Sample

GARBAGE = "xqz vwk jjp 0x7f ,, xqz"
NATS_WHEN_WRONG = 10.0
"""A token, of a reference that the model did not expect."""


def spoken(message: Message) -> str:
    """The text of a message as ftcore's chat template has the model say it.

    Reasoning in ``<think>``, then the content, then each call in ``<tool_call>`` (the Hermes
    convention, ``chat_template.jinja``).
    """
    thought = message.reasoning_text
    text = (f"<think>\n{thought}\n</think>\n\n" if thought else "") + message.text
    for index, call in enumerate(message.tool_calls):
        name = json.dumps(call.name, ensure_ascii=False)
        arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
        text += "\n" if message.text or index else ""
        text += f'<tool_call>\n{{"name": {name}, "arguments": {arguments}}}\n</tool_call>'
    return text


def perfect(sample: Sample, conversation: Conversation) -> Iterator[Prediction]:
    """Of each trained message: the model said exactly that, expected it, and ended."""
    for index, message in enumerate(conversation.messages):
        if message.trained:
            text = spoken(message)
            yield Prediction(
                sample=sample.data,
                reference=message,
                history=conversation.messages[:index],
                tools=conversation.tools,
                text=text,
                ended=True,
                reference_nll=0.0,
                reference_tokens=len(text.split()) + 1,
            )


def wrong(predictions: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    """Predictions that are wrong in three ways, each by the name that a message gives it.

    All of them ended, so that the end of a turn alone decides nothing. Where all references are
    the same text, the answer to another sample is left out.
    """
    texts = [prediction.text for prediction in predictions]
    found = {
        "silence": [_says(p, "") for p in predictions],
        "garbage": [_says(p, GARBAGE) for p in predictions],
    }
    if len(set(texts)) > 1:
        found["the answers to other samples"] = [
            _says(p, _another(texts, index)) for index, p in enumerate(predictions)
        ]
    return found


def unfinished(predictions: Sequence[Prediction]) -> list[Prediction]:
    """The same predictions, broken off, of which no likelihood was measured."""
    return [attrs.evolve(p, ended=False, reference_nll=None) for p in predictions]


def diverged(predictions: Sequence[Prediction]) -> list[Prediction]:
    """The same predictions of a model whose weights are NaN."""
    return [attrs.evolve(p, text="", ended=False, reference_nll=math.nan) for p in predictions]


def _says(prediction: Prediction, text: str) -> Prediction:
    nll = NATS_WHEN_WRONG * prediction.reference_tokens
    return attrs.evolve(prediction, text=text, reference_nll=nll)


def _another(texts: Sequence[str], index: int) -> str:
    """The next text that differs from the one at the index."""
    following = (*texts[index + 1 :], *texts[:index])
    return next(text for text in following if text != texts[index])
