"""A running HQ for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bitstation.core.digest import digest_of
from bitstation.testing.local_hq import LocalHq, local_hq
from tests.integration.hq_requests import Caller, calling


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHq]:
    with local_hq(tmp_path_factory.mktemp("hq")) as hq:
        yield hq


@pytest.fixture
def caller(running: LocalHq) -> Iterator[Caller]:
    with calling(running) as caller:
        yield caller


@pytest.fixture
def tool_id(request: pytest.FixtureRequest) -> str:
    """A tool of the test's own, since the HQ is shared."""
    return "t" + digest_of(request.node.nodeid.encode())[:12]


@pytest.fixture
def unique(tool_id: str) -> bytes:
    """Content that no other test sends."""
    return tool_id.encode() * 100_000
