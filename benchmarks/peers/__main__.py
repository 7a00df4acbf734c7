"""python -m benchmarks.peers        installs Triton into build/peers/triton"""

from __future__ import annotations

from benchmarks.peers import triton


def main() -> None:
    """Install what has an environment of its own."""
    print(triton.install())


if __name__ == "__main__":
    main()
