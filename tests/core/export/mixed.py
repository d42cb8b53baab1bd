"""A model whose rows are whole super-blocks, and the hashes of what llama.cpp makes of it.

The tests load this file; run by hand it says again what ``llama-quantize`` writes::

    pip install cyllama  # its model_quantize is llama-quantize's own function
    python tests/core/export/mixed.py make FOLDER [--odd]
    ftcore export FOLDER --quantization F32 --output F32.gguf
    python tests/core/export/mixed.py reference F32.gguf
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path
from typing import Any

MIXED: dict[str, Any] = {
    "head_dim": 32,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_attention_heads": 8,
    "num_hidden_layers": 9,
    "num_key_value_heads": 2,
}
"""What differs from the plain model: nine layers, the first, some between and the last of which
llama.cpp gives more bits, and four query heads for each value head, to which it does so too."""


def make(folder: Path, tiny: Any, tokenizer: Any) -> Path:
    """Writes the model folder."""
    return tiny.save(folder, {**tiny.PLAIN, **MIXED}, tokenizer)


def reference(f32: Path, tiny: Any) -> dict[str, str]:
    """``tiny.tensor_hash`` of each quantization that llama.cpp makes of a F32 file.

    A type that the installed version refuses for the model's shapes is left out.
    """
    from ftcore.export.quantizations import QUANTIZATIONS

    llama: Any = importlib.import_module("cyllama.llama.llama_cpp")
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for entry in QUANTIZATIONS.values():
            if entry.converted:
                continue
            path = Path(folder) / f"{entry.name}.gguf"
            parameters = llama.LlamaModelQuantizeParams()
            parameters.ftype = entry.file_type
            try:
                llama.model_quantize(str(f32), str(path), parameters)
            except RuntimeError as error:
                print(f"{entry.name}: {error}", file=sys.stderr)
                continue
            found[entry.name] = tiny.tensor_hash(path)
    return found


def main(arguments: list[str]) -> None:
    import tiny

    from ftcore.base_models import load_tokenizer

    if arguments[0] == "reference":
        for name, digest in reference(Path(arguments[1]), tiny).items():
            print(f'    "{name}": "{digest}",')
        return
    tokenizer = load_tokenizer("smollm2:135m")
    if "--odd" in arguments:
        tiny.make(Path(arguments[1]), "odd", tokenizer)
    else:
        make(Path(arguments[1]), tiny, tokenizer)


if __name__ == "__main__":
    main(sys.argv[1:])
