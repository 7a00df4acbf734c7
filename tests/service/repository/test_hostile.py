"""Bundles that somebody made to do harm, put beside one that is served."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from service.errors import BadBundle
from service.pack import Pack
from tests.service.harms import HARMS, Harm
from tests.service.repository.folders import add_version, serving, versions

PACK = Pack.of("x", [np.ones((5, 3), np.float32)])


@pytest.mark.parametrize("harm", [harm for harm, _ in HARMS], ids=lambda harm: harm.__name__)
def test_a_hostile_version_is_refused_and_the_one_before_serves_on(
    harm: Harm, bundles: Path, tmp_path: Path
) -> None:
    root = tmp_path / "models"
    add_version(bundles, root, "plain", "1")
    service = serving(root)
    harm(add_version(bundles, root, "plain", "2"))

    async def body() -> None:
        with pytest.raises(BadBundle, match=r"plain/(2|real)") as caught:
            await service.repository.prepare("it", "plain")
        assert str(root) not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert versions(service, "plain") == ["1"]
        await service.engine.predict(service.catalog.find("plain").id, PACK)
        await service.engine.close()

    asyncio.run(body())
