"""The bundle folder: bundle.json and the files it vouches for. Knows nothing of onnxruntime."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from service.errors import BundleError
from service.manifest import Manifest, digest_of
from service.pack import Array, Pack

MANIFEST, GOLDEN, VERIFICATION = "bundle.json", "golden.npz", "verification.json"
MODEL_CARD = "model_card.md"
FORMAT = 2
MOST_BYTES = {MANIFEST: 2**20, GOLDEN: 2**26}  # of a file; golden data once unpacked, too
MOST_FILE_BYTES = 2**31  # of any other: the most that one graph can be


@dataclass(frozen=True, slots=True)
class Golden:
    """Inputs, and the checkpoint's answers to them in float64 (a wrapped model's: its own, alone).

    outputs: name -> (T, width) or (N, width); allowed: name -> (N,) how large the relative error of
    each sequence may be; usual: (N,) bool, which sequences are like those of training.
    """

    pack: Pack
    outputs: dict[str, Array]
    allowed: dict[str, Array]
    usual: Array

    @classmethod
    def load(cls, data: bytes, manifest: Manifest) -> Golden:
        """Read what `save` wrote."""
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(part.file_size for part in packed.infolist()) > MOST_BYTES[GOLDEN]:
                raise ValueError(f"unpacks to more than {MOST_BYTES[GOLDEN]} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            columns = {c.name: arrays[f"column.{c.name}"] for c in manifest.columns}
            context = {c.name: arrays[f"context.{c.name}"] for c in manifest.context}
            made = cls(
                Pack(columns, arrays["lengths"], context),
                {o.name: arrays[f"output.{o.name}"] for o in manifest.outputs},
                {o.name: arrays[f"allowed.{o.name}"] for o in manifest.outputs},
                arrays["usual"],
            )
        made._check(manifest)
        return made

    def _check(self, manifest: Manifest) -> None:
        """ValueError unless every array has the size that the others say."""
        lengths = self.pack.lengths
        if lengths.ndim != 1 or lengths.dtype != np.int64 or not len(lengths) or lengths.min() < 0:
            raise ValueError("lengths are not lengths")
        tokens, sequences = self.pack.tokens, len(lengths)
        rows = {o.name: tokens if o.per == "token" else sequences for o in manifest.outputs}
        fits = [
            *(len(values) == tokens for values in self.pack.columns.values()),
            *(len(values) == sequences for values in self.pack.context.values()),
            *(
                v.shape == (rows[o.name], o.width)
                for o in manifest.outputs
                for v in [self.outputs[o.name]]
            ),
            *(allowed.shape == (sequences,) for allowed in self.allowed.values()),
            self.usual.shape == (sequences,) and self.usual.dtype == bool and self.usual.any(),
        ]
        if not all(fits):
            raise ValueError("arrays of different lengths")

    def save(self, path: Path) -> None:
        """Write a compressed npz without pickles."""
        groups = {
            "column": self.pack.columns,
            "context": self.pack.context,
            "output": self.outputs,
            "allowed": self.allowed,
        }
        arrays = {f"{g}.{name}": v for g, values in groups.items() for name, v in values.items()}
        arrays |= {"lengths": self.pack.lengths, "usual": self.usual}
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose manifest has been read."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path) -> Bundle:
        """Read bundle.json and check every file against it; BundleError names the culprit.

        Nothing is read but plain files of the folder, of bounded size, that the manifest names.
        """
        path, manifest = folder / MANIFEST, read_manifest(folder)
        bundle = cls(folder, manifest)
        graphs = [stage.file for stage in manifest.stages]
        for name in (GOLDEN, *graphs, *(f for v in manifest.variants for f in v.files)):
            if name not in manifest.files:
                raise BundleError(f"{path}: 'files' has no SHA-256 for {name}")
        for name in manifest.files:
            bundle.read(name)
        return bundle

    def read(self, name: str) -> bytes:
        """The bytes of a file, exactly those the manifest vouches for."""
        path = self.folder / name
        data = _read(path, MOST_BYTES.get(name, MOST_FILE_BYTES))
        found = hashlib.sha256(data).hexdigest()
        if found != self.manifest.files[name]:
            raise BundleError(
                f"{path}: corrupted, SHA-256 is {found[:12]}... and {MANIFEST} says "
                f"{self.manifest.files[name][:12]}..."
            )
        return data

    def golden(self) -> Golden:
        """What was recorded at export."""
        try:
            return Golden.load(self.read(GOLDEN), self.manifest)
        except Exception as error:  # whatever zip, deflate and npy make of hostile bytes
            what = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            raise BundleError(f"{self.folder / GOLDEN}: {what}") from error


def read_small(path: Path) -> bytes:
    """A file beside bundles, read as carefully as they are."""
    return _read(path, MOST_BYTES[MANIFEST])


def _read(path: Path, most: int) -> bytes:
    """The bytes of a plain file of bounded size; no link is followed."""
    try:
        if path.parent.is_symlink():
            raise BundleError(f"{path.parent}: is a link; a bundle is a folder of files")
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BundleError(f"{path}: is no plain file")
            if status.st_size > most:
                raise BundleError(f"{path}: {status.st_size} bytes, the limit is {most}")
            return file.read(most)
    except OSError as error:
        what = "is a link; links are not followed" if path.is_symlink() else error.strerror
        raise BundleError(f"{path}: {what}") from error


def read_manifest(folder: Path) -> Manifest:
    """What bundle.json says, whether or not the other files are as it says."""
    path = folder / MANIFEST
    data = read_small(path)
    try:
        values = json.loads(data)
        found = values.get("format") if isinstance(values, dict) else None
        if found != FORMAT:
            raise BundleError(f"{path}: format {found!r}; this sumserve reads format {FORMAT}")
        manifest = Manifest.model_validate_json(data)
        if manifest.digest != digest_of(values):
            raise BundleError(f"{path}: corrupted, its digest does not match its contents")
        return manifest
    except (ValueError, RecursionError) as error:
        what = _first(error) if isinstance(error, ValidationError) else str(error)
        raise BundleError(f"{path}: {what}") from error


def open_named(folder: Path) -> Bundle:
    """Open ``name/version`` and check that the manifest agrees with the folder's names."""
    bundle = Bundle.open(folder)
    said, found = (bundle.manifest.name, bundle.manifest.version), folder.parts[-2:]
    if said != found:
        raise BundleError(f"{folder / MANIFEST}: is {'/'.join(said)} and lies in {'/'.join(found)}")
    return bundle


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'top level'}: {problem['msg']}"
