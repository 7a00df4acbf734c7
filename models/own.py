"""Models of one's own making, to be exported and served like ours.

    model = OwnModel(signature, embed, layers, heads)
    export(model.checkpoint("mine"), Path("build/bundles"), "1")

What is asked of the parts:

    embed    forward(tokens, context) -> (T, w); tokens.columns[name] are the raw columns
    layers   subclasses of `SummaryLayer`: ``merge`` says how summaries of parts merge,
             contribution(hidden, segments) -> named fields (N, ...) of each segment,
             readout(hidden, summary, segments) -> (T, w')
    heads    per output: a module (T, w) -> (T, width) for one per token; a `Pool` and a module
             (N, pool.width) -> (N, width) for one per sequence

Tokens may meet nowhere but in ``segments``: sum, max, outer and their ways back, spread and apply.
A part that lets them meet elsewhere is found by the proof that alone equals packed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from models.checkpoint import Card, Checkpoint
from models.config import Embedding, ModelConfig
from models.heads import SequenceHead, TokenHead
from models.layers.layer import SummaryLayer
from models.model import Block, Model
from models.pools import Pool
from models.signature import Output, Signature

Head = nn.Module | tuple[Pool, nn.Module]


class OwnModel(Model):
    """The frame around parts of one's own; a layer's output replaces the hidden tokens.

    ``positional`` says that some part reads places or times, so that the order of tokens matters.
    Raises ValueError naming the output that has no head, or a head of the wrong kind.
    """

    def __init__(
        self,
        signature: Signature,
        embed: nn.Module,
        layers: Sequence[SummaryLayer],
        heads: Mapping[str, Head],
        positional: bool = False,
    ) -> None:
        nn.Module.__init__(self)
        # no configuration could build it again: only what exporting reads
        self.config = ModelConfig.model_construct(
            architecture="own",
            signature=signature,
            embedding=Embedding(standardise=False),
            blocks=(),
            heads=(),
            activation="gelu",
            final_norm=False,
        )
        if signature.context:
            raise ValueError("context: models of one's own have none yet")
        self._positional = positional
        self.context, self.embed = None, embed  # type: ignore[assignment]
        self.blocks = nn.ModuleList(Block.around(layer) for layer in layers)
        self.final_norm = nn.Identity()
        self.heads = nn.ModuleList(_head(output, heads) for output in signature.outputs)

    @property
    def positional(self) -> bool:
        """As its maker said."""
        return self._positional

    @property
    def equivariant(self) -> bool:
        """Whether all layers are, and nothing reads places."""
        layers = [block.mixing for block in self.blocks if isinstance(block, Block)]
        return not self._positional and all(layer.equivariant for layer in layers)

    def checkpoint(self, name: str) -> Checkpoint:
        """What `export` takes; it cannot be saved, as no configuration says what it is."""
        card = Card.model_construct(
            name=name, task=None, options={}, trained_lengths=None, seed=0, model=self.config
        )
        return Checkpoint(card, self.eval())


def _head(output: Output, heads: Mapping[str, Head]) -> nn.Module:
    if output.name not in heads:
        raise ValueError(f"output {output.name!r} has no head")
    own = heads[output.name]
    if isinstance(own, tuple) != (output.per == "sequence"):
        wanted = "a module" if output.per == "token" else "a pool and a module"
        raise ValueError(f"output {output.name!r} is per {output.per}: its head is {wanted}")
    return (
        SequenceHead.around(*own, output)
        if isinstance(own, tuple)
        else TokenHead.around(own, output)
    )
