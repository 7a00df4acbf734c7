"""What the inputs and outputs of a bundle's graphs are called. T tokens, N sequences, B blocks.

    column:NAME      (T, ...)  a column's values           count     (N, 2)   n and log(1 + n)
    first:NAME       (N,)      a column's value at the     owner     (T,)     sequence of a token
                               sequence's first token      position  (T,)     its place in it
    context:NAME     (N, ...)  a context column            rows      (B, k)   tokens of a block
    summary:S:FIELD  (N, ...)  of whole sequences          sizes     (B, 1)   how many it has
    hidden, read     (T, ...)  what stages before left     block     (B,)     its sequence
                                                           places    (T,)     token's among rows

    next:NAME  (T, ...) what later stages read            part:S:FIELD  (B, ...) of each block
    output:NAME  (T, width) or (N, width)

k is 16, room for a whole block. Where each has one token, a graph whose k is open is given 1.

Attention reads query, key, value (S, n, H, w) of S sequences and, if they are padded, length (S,).
"""

from __future__ import annotations

COLUMN, FIRST, CONTEXT, SUMMARY = "column:", "first:", "context:", "summary:"
NEXT, PART, OUTPUT = "next:", "part:", "output:"
