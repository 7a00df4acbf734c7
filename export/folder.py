"""A bundle's folder while it is written: sealed with hashes, and there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.bundle import MANIFEST
from service.manifest import Manifest


def sealed(folder: Path, manifest: Manifest) -> Manifest:
    """Write bundle.json with the hashes of all that is there now."""
    files = sorted(file for file in folder.iterdir() if file.name != MANIFEST)
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    manifest = manifest.model_copy(update={"files": hashes})
    manifest = manifest.model_copy(update={"digest": manifest.computed_digest()})
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    return manifest


@contextmanager
def all_or_nothing(final: Path) -> Iterator[Path]:
    """A scratch folder that becomes ``final`` when the block succeeds, and is gone when not.

    An older ``final`` is there until the new one is complete.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}-", dir=final.parent))
    new, old = scratch / "new", scratch / "old"
    new.mkdir()
    try:
        yield new
        if final.exists():
            os.rename(final, old)
        try:
            os.rename(new, final)
        except OSError:
            if old.exists():
                os.rename(old, final)
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        with suppress(OSError):  # not empty: a version is there
            final.parent.rmdir()
