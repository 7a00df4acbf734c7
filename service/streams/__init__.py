"""One sequence of any length, piece by piece: upload, passes over its tokens, answer."""
