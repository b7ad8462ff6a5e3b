"""Keys that change while an HQ runs: it signs with the new one, and workers follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from bitstation.cli.main import main
from bitstation.testing.local_hq import local_hq
from bitstation.trust.chain import Chain
from bitstation.trust.keyring import Keyring
from bitstation.trust.roles import release_path, requirement_path
from bitstation.trust.signing import open_chain
from tests.integration.hq_requests import Caller, calling


def seen(caller: Caller, root: bytes) -> Chain:
    """What a worker with that root finds at an HQ."""

    def read(name: str, _most: int) -> bytes | None:
        reply = caller.get(f"/metadata/{name}")
        return reply.body if reply.status == 200 else None

    return open_chain(root, read, "HQ")


def test_the_online_key_is_rotated_under_a_running_hq(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("BITSTATION_KEYS", raising=False)
    keys = tmp_path / "keys"
    with local_hq(tmp_path) as hq, calling(hq) as caller:
        root = caller.get("/metadata/1.root.json").body
        manifest = caller.publish({"a.bin": b"1"}, "add", "1.0.0")
        assert main(["keys", "rotate", "hq-online", "second", "--keys", str(keys), "-q"]) == 0
        # What is not there any more signs nothing.
        keyring = Keyring(keys, lambda _name: "")
        keyring.forget("hq-online")
        caller.publish({"a.bin": b"2"}, "add", "1.1.0")
        demand = b'{"version":"1.0.0"}'
        assert caller.authorized("PUT", "/api/v1/tools/add/requirement", demand).status == 200
        chain = seen(caller, root)
        assert chain.root.roles["timestamp"].keyids == [keyring.public("second").keyid]
        assert chain.find(release_path("add", "1.1.0")) is not None
        found = chain.find(requirement_path("add"))
        assert found is not None
        assert found[0].custom == {"stable": ["1.0.0", manifest.manifest_hash]}
        assert hq.stop() == 0
