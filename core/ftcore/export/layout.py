"""What an architecture's entry is made of, and the figures of a model that entries name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import field, frozen

MetadataValue = int | float | str
MetadataType = Literal["uint32", "float32", "string"]


@frozen
class Weight:
    """One tensor of the checkpoint and its name in GGUF.

    Of a layer, both lack what names the layer: ``model.layers.7.`` and ``blk.7.``.
    """

    source: str
    """Holds ``{expert}`` where each expert has a tensor of its own; they are stacked."""
    target: str
    shape: str
    """Names of dimensions (:attr:`Hyperparameters.sizes`), as torch counts them."""
    permuted: Literal["", "heads", "kv_heads"] = ""
    """Whether the rows of every head are reordered, and which count says how many heads.

    transformers rotates the two halves of a head (``rotate_half``), llama.cpp's ``llama``
    architecture neighbouring pairs, as the first Llama code did.
    """
    when: Literal["", "attention_bias", "mlp_bias"] = ""
    """The hyperparameter that says that the tensor is there."""
    plus_one: bool = False
    """Whether transformers multiplies with 1 + weight, and llama.cpp with what the file holds."""
    fused: str = ""
    """The tensor that holds all experts where a checkpoint has those instead of ``source``."""
    half: Literal["", "first", "second"] = ""
    """Which half of each expert's rows in ``fused`` is meant."""


@frozen
class Key:
    """One metadata key."""

    name: str
    """After the architecture's prefix."""
    type: MetadataType
    value: str
    """Attribute of :class:`Hyperparameters`, dotted where it is one of the rope."""
    absent: MetadataValue | None = None
    """Written where there is no value (None); None: then the key is not written."""


@frozen
class Fixed:
    """A figure of ``config.json`` that llama.cpp computes with one value only."""

    key: str
    value: object


@frozen
class Architecture:
    """How one model class of transformers is written."""

    model_class: str
    model_type: str
    """transformers' name of its config."""
    gguf: str
    """llama.cpp's name of it, the prefix of its metadata keys."""
    known_as: str
    """Models that people know."""
    model: tuple[Weight, ...]
    layer: tuple[Weight, ...]
    keys: tuple[Key, ...]
    fixed: tuple[Fixed, ...]
    ropes: tuple[str, ...] = ("default", "linear", "yarn")
    """The ``rope_type`` values that llama.cpp can be told about."""
    refused: Callable[[Mapping[str, Any]], str] = lambda config: ""
    """Why a config cannot be written, beyond :attr:`fixed`; empty where it can."""


@frozen
class Rope:
    """Rotary position embedding: base, and how it is stretched to longer contexts."""

    theta: float
    type: str
    dimensions: int
    """Of a head that are rotated."""
    factor: float | None = None
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int | None = None
    attention_factor: float | None = None
    beta_fast: float | None = None
    beta_slow: float | None = None
    local_theta: float | None = None
    """Of the layers with a sliding window, where they have one of their own."""
    long_factors: tuple[float, ...] = field(default=(), repr=False)
    short_factors: tuple[float, ...] = field(default=(), repr=False)

    @property
    def scaling(self) -> str | None:
        """``rope.scaling.type``; llama3's is written as a tensor instead."""
        return self.type if self.type in ("linear", "yarn", "longrope") else None

    @property
    def scaling_factor(self) -> float | None:
        """``rope.scaling.factor``."""
        return self.factor if self.type in ("linear", "yarn") else None

    @property
    def yarn_context(self) -> int | None:
        """``rope.scaling.original_context_length`` of YaRN."""
        return self.original_context if self.type == "yarn" else None


@frozen
class Hyperparameters:
    """The figures of a model's ``config.json`` that its GGUF needs, defaults filled in."""

    architecture: Architecture
    layers: int
    context: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    head_dim_written: int | None
    """``head_dim`` where the model's config has it; otherwise it follows from others."""
    vocabulary: int
    rms_eps: float
    rope: Rope
    tied: bool
    """The embedding is the output matrix too."""
    attention_bias: bool
    mlp_bias: bool
    sliding_window: int | None
    experts: int | None
    experts_used: int | None
    expert_feed_forward: int | None
    softcap: float | None
    """``final_logit_softcapping``."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Lengths of the dimensions that :attr:`Weight.shape` names."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "vocabulary": self.vocabulary,
            "hidden": self.hidden,
            "query": query,
            "key": key,
            "query+key+value": query + 2 * key,
            "head": self.head_dim,
            "feed_forward": self.feed_forward,
            "gate+up": 2 * self.feed_forward,
            "experts": self.experts or 0,
            "expert": self.expert_feed_forward or 0,
        }
