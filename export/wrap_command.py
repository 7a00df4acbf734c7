"""Make a bundle of any ONNX model that takes padded batches: FOLDER/name/version.

    sumserve wrap model.onnx --out build/bundles --name mine --low-high ids=0:99

The bundle takes sequences as they are; they are padded when the model runs, with others of like
length. What inputs read is told by the graph where it can be; what it leaves open an error asks
for. NAME is always the graph's own name for an input or an output; ORDER has b for the batch, n for
the tokens and w for the width. Then every sequence is run alone, padded and unpadded, and in packs:
a model whose answers padding changes is refused, with exit code 1 and no bundle.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from export.wrap_inputs import Said

SUMMARY = "make a bundle of an ONNX model that takes padded batches"
OPTIONS = {
    "--axes": ("NAME=ORDER", "the order of an input's axes, like ids=bn or x=nbw"),
    "--pad": ("NAME=VALUE", "what places without a token hold (default: 0; 1: inverted mask)"),
    "--low-high": ("NAME=LOW:HIGH", "the range of an input's ids, both included"),
    "--output": ("NAME[=ORDER]", "answer with this output alone; again for others (default: all)"),
    "--labels": ("[NAME=]A,B,C", "the classes of an output whose numbers are logits"),
    "--rename": ("NAME=NEW", "what an input or an output is called in requests"),
    "--mask": ("NAME", "an input that tells tokens from padding (default: *mask* of two axes)"),
    "--lengths": ("NAME", "an input that counts tokens (default: whole numbers of one axis)"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From where, to where, and what the graph does not say."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="an .onnx file below 2 GB")
    parser.add_argument("--name", required=True, help="the bundle's name")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("build/bundles"),
        metavar="FOLDER",
        help="folder of bundles, written as FOLDER/name/version (default: build/bundles)",
    )
    parser.add_argument("--bundle-version", default="1", metavar="N", help="default: 1")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as CPUs (default)")
    for option, (form, about) in OPTIONS.items():
        parser.add_argument(option, action="append", default=[], metavar=form, help=about)
    parser.add_argument("--min-length", type=int, default=1, metavar="N", help="default: 1")
    parser.add_argument(
        "--max-length",
        type=int,
        metavar="N",
        help="the longest sequence to take (default: what the graph fixes, else 512)",
    )
    parser.add_argument("--force", action="store_true", help="replace a bundle that exists")


def run(args: argparse.Namespace) -> int:
    """Wrap and print where the bundle is."""
    from export.wrap import Request, wrap
    from service.runtime import Threads

    request = Request(
        name=args.name,
        version=args.bundle_version,
        min_length=args.min_length,
        max_length=args.max_length,
        said=_said(args),
    )
    Threads.start(args.threads)
    print(wrap(args.model, args.out, request, args.force))
    return 0


def _said(args: argparse.Namespace) -> Said:
    from export.wrap_inputs import Said

    return Said(
        masks=tuple(args.mask),
        lengths=tuple(args.lengths),
        axes=dict(_pairs("--axes", args.axes)),
        pad={name: _number(name, text) for name, text in _pairs("--pad", args.pad)},
        low_high={name: _range(name, text) for name, text in _pairs("--low-high", args.low_high)},
        rename=dict(_pairs("--rename", args.rename)),
        outputs={name: order or None for name, _, order in (o.partition("=") for o in args.output)},
        labels={name: tuple(text.split(",")) for name, text in map(_labels, args.labels)},
    )


def _pairs(option: str, given: Iterable[str]) -> Iterable[tuple[str, str]]:
    for one in given:
        name, _, value = one.rpartition("=")
        if not (name and value):
            raise _wrong(option, one)
        yield name, value


def _labels(one: str) -> tuple[str, str]:
    """The output's name, empty for the only one, and its labels."""
    name, _, text = one.rpartition("=")
    return name, text


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise _wrong("--pad", f"{name}={text}") from error


def _range(name: str, text: str) -> tuple[int, int]:
    low, _, high = text.partition(":")
    try:
        return int(low), int(high)
    except ValueError as error:
        raise _wrong("--low-high", f"{name}={text}") from error


def _wrong(option: str, given: str) -> Exception:
    from export.wrap_file import WrapError

    return WrapError(f"{option} {given}: must be {OPTIONS[option][0]}")
