"""Our server under load beside its peers.

    python -m benchmarks.reference && python -m benchmarks.peers && python -m benchmarks.online

A sweep finds each peer's best settings; its cells are kept under build/peers/online, so a run
that was stopped goes on. The rows are then measured side by side, in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.online import closed
from benchmarks.online.cells import Cells
from benchmarks.online.contender import Bodies
from benchmarks.online.final import Final, Lengths
from benchmarks.online.load import Loader
from benchmarks.online.page import page
from benchmarks.online.plot import draw
from benchmarks.online.sweep import Sweep
from benchmarks.online.traffic import Limit, traffics
from benchmarks.peers.environments import PACKAGES, installed, versions
from benchmarks.peers.summary import machine

RESULT = Path("benchmarks/results/online.json")
CELLS = Path("build/peers/online/cells.json")


def arguments() -> argparse.Namespace:
    """All of them optional."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--cells", type=Path, default=CELLS, help="where the sweep is kept")
    parser.add_argument("--fresh", action="store_true", help="sweep again")
    parser.add_argument("--peers", default=",".join(PACKAGES))
    parser.add_argument("--sweep-seconds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=3, help="of a closed loop")
    parser.add_argument("--open-seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tours", type=int, default=3, help="rounds over all mixes, and open ones")
    return parser.parse_args()


def main() -> None:
    """Sweep, measure, print and write the results."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are stopped on the way out
    args = arguments()
    peers = args.peers.split(",")
    missing = [peer for peer in peers if not installed(peer)]
    if missing:
        raise SystemExit(f"install {', '.join(missing)} with: python -m benchmarks.peers")
    if args.fresh:
        args.cells.unlink(missing_ok=True)
    result: dict[str, Any] = {"machine": machine(), "load_before": round(os.getloadavg()[0], 2)}
    result["peers"] = {peer: versions(peer) for peer in peers}
    result["wrk"] = closed.version()
    result |= measure(args, peers)
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    args.out.with_suffix(".md").write_text(page(result))
    draw(result, args.out.with_suffix(".png"))
    print(page(result))


def measure(args: argparse.Namespace, peers: list[str]) -> dict[str, Any]:
    """The sweep, the rows, and what they say."""
    lengths = Lengths(args.seconds, args.open_seconds, args.rounds, args.tours)
    limit, sent = Limit(), traffics()
    answers = {name: limit.answers(traffic) for name, traffic in sent.items()}
    with tempfile.TemporaryDirectory() as folder:
        loader = Loader(sent, answers, Bodies(Path(folder)))
        cells = Cells(args.cells)
        sweep = Sweep(loader, cells, args.sweep_seconds)
        sweep.run(peers)
        final = Final(loader, limit, lengths)
        final.run(sweep, peers)
    return {
        "seconds": {"sweep": args.sweep_seconds, "closed": args.seconds, "open": args.open_seconds},
        "verdicts": [own.as_dict() for own in final.verdicts],
        "measured": final.measured,
        "sweep": cells.all(),
    }


if __name__ == "__main__":
    main()
