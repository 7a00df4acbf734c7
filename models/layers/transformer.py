"""Exact softmax attention of every token over its own sequence: the dense Transformer."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from models import config
from models.layers.attention import ExactAttention
from models.layers.layer import Frame


class TransformerLayer(ExactAttention):
    """softmax(q k^T / sqrt(w)) v."""

    def __init__(self, own: config.TransformerLayer, frame: Frame) -> None:
        super().__init__(own, frame)
        self.equivariant = not own.rotary

    def attend(self, query: Tensor, key: Tensor, value: Tensor, valid: Tensor | None) -> Tensor:
        """(B, a, H, w), and (B, n, H, w) twice -> (B, a, H, w)."""
        q, k, v = (rows.transpose(1, 2) for rows in (query, key, value))
        mask = None if valid is None else valid[:, None, None, :]
        return scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
