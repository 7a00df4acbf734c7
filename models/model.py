"""The one frame of every architecture: columns -> embedding, blocks with a mixing layer, heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models import config
from models.embedding import Columns, Embedding
from models.heads import SequenceHead, TokenHead
from models.layers import build_layer
from models.layers.layer import Frame, Layer, SummaryLayer
from models.layers.linformer import projection
from models.mlp import MLP, GatedMLP, ScaleNorm
from models.pack import Pack
from models.summary import Segments, Summary


class Block(nn.Module):
    """h -> mix(h), then h -> MLP(h); each with a LayerNorm before and a residual, as configured."""

    def __init__(self, own: config.Block, frame: Frame, width: int, mixing: Layer) -> None:
        super().__init__()
        self.residual, self.mixing = own.residual, mixing
        self.norm: nn.Module = _norm(own, frame.width)
        self.feed_norm: nn.Module = nn.Identity()
        self.feed_forward: nn.Module | None = None
        if own.feed_forward is None:
            return
        self.feed_norm = _norm(own, width)
        if own.gated:
            self.feed_forward = GatedMLP(width, own.feed_forward[0], frame.activation)
        else:
            self.feed_forward = MLP(width, own.feed_forward, width, frame.activation)

    @classmethod
    def around(cls, mixing: Layer) -> Block:
        """A layer and nothing else: no residual, no norm, no MLP."""
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.residual, made.mixing, made.feed_forward = False, mixing, None
        made.norm, made.feed_norm = nn.Identity(), nn.Identity()
        return made

    def forward(self, hidden: Tensor, pack: Pack) -> Tensor:
        """hidden (T, width) -> (T, width')."""
        return self.after(hidden, self.mixing(self.norm(hidden), pack))

    def contribution(self, hidden: Tensor, segments: Segments) -> Summary:
        """The mixing layer's summary of each segment."""
        assert isinstance(self.mixing, SummaryLayer)
        return self.mixing.contribution(self.norm(hidden), segments)

    def readout(self, hidden: Tensor, summary: Summary, segments: Segments) -> Tensor:
        """hidden (T, width) and the summary of the whole sequences -> (T, width')."""
        assert isinstance(self.mixing, SummaryLayer)
        return self.after(hidden, self.mixing.readout(self.norm(hidden), summary, segments))

    def after(self, hidden: Tensor, mixed: Tensor) -> Tensor:
        """What the block makes of hidden tokens and what its layer mixed in."""
        hidden = hidden + mixed if self.residual else mixed
        if self.feed_forward is None:
            return hidden
        fed: Tensor = self.feed_forward(self.feed_norm(hidden))
        return hidden + fed if self.residual else fed


class Model(nn.Module):
    """Sets or token sequences of any allowed length -> a dict of outputs.

    Every output is (T, width) per token or (N, width) per sequence, by name.
    """

    def __init__(self, own: config.ModelConfig) -> None:
        super().__init__()
        self.config = own
        shape, widths = own.signature, own.hidden_widths()
        context = own.embedding.width if shape.context else None
        self.context = Columns(shape.context, context) if context else None
        self.embed = Embedding(own)
        shared = _shared_projection(own)
        self.blocks = nn.ModuleList(
            _block(own, block, width, after, shared)
            for block, width, after in zip(own.blocks, widths, widths[1:], strict=False)
        )
        self.final_norm = nn.LayerNorm(widths[-1]) if own.final_norm else nn.Identity()
        self.heads = nn.ModuleList(
            SequenceHead(head, output, widths[-1], context or 0, own.activation)
            if isinstance(head, config.SequenceHead)
            else TokenHead(head, output, widths[-1], own.activation)
            for head, output in zip(own.heads, shape.outputs, strict=True)
        )

    def fit(self, pack: Pack) -> None:
        """Take the statistics of training inputs, unless columns are taken as they are."""
        if not self.config.embedding.standardise:
            return
        self.embed.columns.fit(pack.columns)
        if self.context is not None:
            self.context.fit(pack.context)

    def redraw(self, step: int, generator: torch.Generator) -> None:
        """Draw random features anew in the layers whose turn it is after this training step."""
        for block in self.blocks:
            assert isinstance(block, Block)
            block.mixing.redraw(step, generator)

    @property
    def equivariant(self) -> bool:
        """Whether permuting the tokens of a sequence permutes its rows and nothing else."""
        one = self.config.embedding
        mixing = [block.mixing for block in self.blocks if isinstance(block, Block)]
        orderless = all(isinstance(layer, Layer) and layer.equivariant for layer in mixing)
        return orderless and one.position is None and not self.embed.times

    @property
    def positional(self) -> bool:
        """Whether tokens are told their place in the sequence."""
        layers = [block.mixing for block in self.config.blocks]
        turned = any(isinstance(own, config.Attention) and own.rotary for own in layers)
        return turned or self.config.embedding.position is not None

    def forward(self, pack: Pack) -> dict[str, Tensor]:
        """Pack of T tokens in N sequences -> name -> (T, width) or (N, width).

        Raises ValueError naming the first sequence whose length is not allowed.
        """
        self._check(pack)
        context = None if self.context is None else self.context(pack.context)
        hidden: Tensor = self.embed(pack, context)
        for block in self.blocks:
            hidden = block(hidden, pack)
        hidden = self.final_norm(hidden)
        rows = (_output(head, hidden, pack, context) for head in self.heads)
        return {o.name: row for o, row in zip(self.config.signature.outputs, rows, strict=True)}

    def _check(self, pack: Pack) -> None:
        shape = self.config.signature
        highest = shape.max_length
        wrong = pack.lengths < shape.min_length
        if highest is not None:
            wrong = wrong | (pack.lengths > highest)
        if wrong.any():
            i = int(wrong.nonzero()[0])
            raise ValueError(
                f"sequence {i} has {int(pack.lengths[i])} tokens; this model takes "
                f"{shape.min_length} to {highest if highest is not None else 'any number'}"
            )


def _norm(own: config.Block, width: int) -> nn.Module:
    if own.norm == "scale":
        return ScaleNorm()
    return nn.LayerNorm(width) if own.norm else nn.Identity()


def _output(head: nn.Module, hidden: Tensor, pack: Pack, context: Tensor | None) -> Tensor:
    if isinstance(head, SequenceHead):
        return head.readout(head.contribution(hidden, pack), pack.counts, context)
    out: Tensor = head(hidden)
    return out


def _block(
    own: config.ModelConfig,
    block: config.Block,
    width: int,
    after: int,
    shared: nn.Parameter | None,
) -> Block:
    frame = Frame(width, own.activation, own.signature.max_length)
    return Block(block, frame, after, build_layer(block.mixing, frame, shared))


def _shared_projection(own: config.ModelConfig) -> nn.Parameter | None:
    """The one E of all Linformer layers that share it; their dimension must agree."""
    layers = [b.mixing for b in own.blocks if isinstance(b.mixing, config.LinformerLayer)]
    dims = {layer.projection_dim for layer in layers if layer.sharing == "layerwise"}
    if len(dims) > 1:
        raise ValueError(f"linformer: layers that share E differ in projection_dim: {sorted(dims)}")
    assert not dims or own.signature.max_length is not None
    return projection(dims.pop(), own.signature.max_length or 0) if dims else None
