"""A trained Sumformer -> a Transformer, Linformer, Performer or sparse Transformer: same function.

The proofs of Theorems 4.3 to 4.5 (Sumformer, section 4.2 and appendix B) as a program: attention
with equal scores averages, its values carry phi, and feed-forward layers do the rest. Star-sparse
attention takes two layers: the relay reads all, then all read the relay.
"""

from __future__ import annotations

from models.compile.plan import CompileError, Into, plan
from models.compile.write import build
from models.model import Model

__all__ = ["CompileError", "Into", "compile_sumformer"]


def compile_sumformer(model: Model, into: Into, length: int | None = None) -> Model:
    """The same function, one attention layer per Sumformer layer (two where ``into`` is sparse).

    ``length`` is the n that enters the weights; then the result takes only sequences of n tokens.
    It is needed where attention averages and a sum is wanted, or where log n is read. Raises
    CompileError naming what is not covered, or why a length is needed.
    """
    return build(model, plan(model, into, length), into, length)
