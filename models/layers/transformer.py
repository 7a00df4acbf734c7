"""Exact softmax attention of every token over its own sequence: the dense Transformer."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models import config
from models.buckets import Bucket, buckets, gather, scatter
from models.layers.attention import Projections
from models.layers.layer import Frame, Layer
from models.pack import Pack


class TransformerLayer(Layer):
    """Projections over the whole pack; only the attention itself goes by buckets of like length."""

    def __init__(self, own: config.TransformerLayer, frame: Frame) -> None:
        super().__init__()
        self.heads = Projections(own, frame)
        self.equivariant = not own.rotary

    def forward(self, hidden: Tensor, pack: Pack) -> Tensor:
        """hidden (T, width) -> (T, width)."""
        query = self.heads.queries(hidden, pack.position)
        key, value = self.heads.keys(hidden, pack.position), self.heads.values(hidden)
        groups = buckets(pack)
        read = [_attend(query, key, value, bucket) for bucket in groups]
        return self.heads.merged(scatter(read, groups, value))


def _attend(query: Tensor, key: Tensor, value: Tensor, bucket: Bucket) -> Tensor:
    """(T, H, w) each -> (B, n, H, w) of the bucket's sequences."""
    q, k, v = (gather(rows, bucket).transpose(1, 2) for rows in (query, key, value))
    mask = None if bucket.full else bucket.valid[:, None, None, :]
    return scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
