"""The quantizations that a GGUF can be written in: names, file types and limits of the certificate.

One entry of :data:`QUANTIZATIONS` is all that is known of one, but for the types of its tensors
(``mixtures``). Nothing here needs torch.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from attrs import frozen

from ftcore.errors import InputError


@frozen
class Quantization:
    """How the weights of a file are stored."""

    name: str
    file_type: int
    """``general.file_type``, by ``llama_ftype`` of llama.h."""
    type: str
    """ggml's type of most of the file's matrices."""
    bits: float
    """Per weight, of Llama 3.1 8B (llama.cpp's tools/quantize/README.md): for estimates."""
    kl_limit: float
    """Nats of mean divergence that the certificate allows: three times what was seen, and more."""
    top1_limit: float
    """Least share of places at which the likeliest token is the model's, or ties with it."""
    greedy_limit: float | None = None
    """Nats by which the model may prefer another token where greedy texts part; None: any."""
    converted: bool = False
    """llama.cpp's converter writes it; all others are ``llama-quantize``'s."""


_ALL = (
    Quantization("F32", 0, "F32", 32, 3e-5, 0.98, 0.1, converted=True),
    Quantization("F16", 1, "F16", 16, 3e-5, 0.98, 0.1, converted=True),
    Quantization("BF16", 32, "BF16", 16, 1e-3, 0.95, 0.1, converted=True),
    Quantization("Q8_0", 7, "Q8_0", 8.51, 1.5e-2, 0.9, converted=True),
    Quantization("Q6_K", 18, "Q6_K", 6.57, 0.2, 0.9),
    Quantization("Q5_1", 9, "Q5_1", 6.04, 1.2, 0.8),
    Quantization("Q5_K_M", 17, "Q5_K", 5.71, 0.5, 0.9),
    Quantization("Q5_K_S", 16, "Q5_K", 5.58, 0.5, 0.9),
    Quantization("Q5_0", 8, "Q5_0", 5.58, 1.2, 0.8),
    Quantization("Q4_1", 3, "Q4_1", 5.12, 2, 0.8),
    Quantization("Q4_K_M", 15, "Q4_K", 4.9, 1.5, 0.8),
    Quantization("IQ4_NL", 25, "IQ4_NL", 4.69, 1.5, 0.8),
    Quantization("Q4_K_S", 14, "Q4_K", 4.67, 2, 0.8),
    Quantization("Q4_0", 2, "Q4_0", 4.66, 1.5, 0.8),
    Quantization("IQ4_XS", 30, "IQ4_XS", 4.46, 1.5, 0.8),
    Quantization("Q3_K_L", 13, "Q3_K", 4.3, 2, 0.8),
    Quantization("Q3_K_M", 12, "Q3_K", 4, 2, 0.8),
    Quantization("Q3_K_S", 11, "Q3_K", 3.65, 3.5, 0.7),
    Quantization("Q2_K", 10, "Q2_K", 3.16, 7, 0.3),
)

QUANTIZATIONS: Mapping[str, Quantization] = {entry.name: entry for entry in _ALL}
"""By name, from the most bits to the fewest."""

BY_FILE_TYPE: Mapping[int, Quantization] = {entry.file_type: entry for entry in _ALL}


def check_quantization(name: str) -> str:
    """The quantization in its usual spelling.

    :raises InputError: there is no such quantization here.
    """
    usual = name.strip().upper()
    if usual in QUANTIZATIONS:
        return usual
    close = difflib.get_close_matches(usual, QUANTIZATIONS, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    raise InputError(
        f"the quantization {name.strip()!r} cannot be written",
        f"{meant}choose one of {', '.join(QUANTIZATIONS)}",
    )


def read_quantizations(text: str) -> tuple[str, ...]:
    """The quantizations that a text with commas names, each once, in their usual spelling.

    :raises InputError: one of them is unknown.
    """
    return tuple(dict.fromkeys(check_quantization(name) for name in text.split(",")))


def spelled(names: Iterable[str]) -> str:
    """Several quantizations as records write them; :func:`read_quantizations` reads it again."""
    return ",".join(dict.fromkeys(names))
