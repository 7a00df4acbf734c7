"""python -m benchmarks.peers   installs the peers under build/peers, and writes their graphs"""

from __future__ import annotations

from benchmarks.peers import environments, graphs


def main() -> None:
    """Install what has an environment of its own."""
    for path in [*environments.install(), *graphs.write()]:
        print(path)


if __name__ == "__main__":
    main()
