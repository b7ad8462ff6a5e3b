"""Group M of the threats, 16 to 18 and 22 to 30: manifests whose words are hostile, or just odd."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from bitstation import Eligibility
from bitstation.core.digest import EMPTY, digest_of
from bitstation.core.manifest import parse_manifest
from bitstation.errors import (
    DigestMismatch,
    DiskFull,
    IntegrityError,
    ManifestHashMismatch,
    NotFound,
    PackageInvalid,
    ReleaseConflict,
    ToolFolderInvalid,
)
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import make_release
from tests.attack.entrances import Entrances, encoded
from tests.attack.machine import (
    FILES,
    NEW,
    OLD,
    Machine,
    document_of,
    rehashed,
    source_of,
    with_rows,
)
from tests.engine.publisher_tools import MAKING, checked, faults_of, pack, tool_document, write_tool
from tests.integration.hq_requests import SESSIONS, Caller

ROWS: list[dict[str, Any]] = NEW.manifest.document["files"]  # type: ignore[assignment]


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks the network for anything fails."""

    def refuse(*_arguments: object) -> None:
        raise AssertionError("the network was asked")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def changed_rows(**fields: Any) -> dict[str, Any]:
    """The manifest, every row with other fields; None: without the field."""
    rows = [{**row, **fields} for row in ROWS]
    rows = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return rehashed(document_of(files=rows))


@pytest.mark.usefixtures("no_network")
def test_m16_no_url(entrances: Entrances) -> None:
    for document in (changed_rows(url=None), changed_rows(url="")):
        assert len(list(entrances.take(document))) == 3


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "url",
    ["https://evil.example/x", "http://169.254.169.254/", "//evil.example/%2e%2e/x", "\\\\e\\x"],
)
def test_m17_url_of_another_host(entrances: Entrances, url: str) -> None:
    """A hint that workers do not follow: bytes come from their own sources by digest."""
    assert len(list(entrances.take(changed_rows(url=url)))) == 3


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("scheme", ["file", "data", "javascript"])
def test_m18_url_of_another_scheme(entrances: Entrances, tmp_path: Path, scheme: str) -> None:
    """Ignored alike, even where it names a file that is here."""
    (tmp_path / "x").write_bytes(b"evil")
    rest = {"file": (tmp_path / "x").as_uri()[5:], "data": "text/plain,evil", "javascript": "x()"}
    assert len(list(entrances.take(changed_rows(url=f"{scheme}:{rest[scheme]}")))) == 3


@pytest.mark.parametrize("url", [5, [], {}, "https://x/" + "a" * 9000])
def test_m18_url_that_is_none(entrances: Entrances, url: Any) -> None:
    entrances.refuse(changed_rows(url=url), "url of 'lib/deep/y.py'")


def test_m22_lists_itself(entrances: Entrances) -> None:
    """Legacy ones do: read, kept for the hash, never installed as a file."""
    document = with_rows("manifest.json")
    for machine, target in entrances.take(document):
        kept = machine.tree.release("1.1.0") / "manifest.json"
        assert parse_manifest(kept.read_bytes()) == target
        assert "manifest.json" not in [entry.path for entry in target.entries]


@pytest.mark.parametrize(
    "text", ["PLACEHOLDER", "<sha256>", "TODO", "...", "x" * 64, "sha256:" + "a" * 57]
)
def test_m23_placeholder_hashes(entrances: Entrances, text: str) -> None:
    rows = [{**ROWS[0], "sha256": text}, *ROWS[1:]]
    entrances.refuse(rehashed(document_of(files=rows)), "sha256 of 'lib/deep/y.py'")
    entrances.refuse(document_of(manifest_hash=text), "manifest_hash")


ZEROES = rehashed(document_of(files=[{**ROWS[0], "sha256": "0" * 64}, *ROWS[1:]]))


def test_m23_placeholder_of_zeroes(entrances: Entrances, machine: Machine) -> None:
    """It has the form of a digest, and no content in the world has it."""
    memory, folder, package = entrances.sources(encoded(ZEROES))
    for source in (folder, package):
        machine.refuses_update(source, DigestMismatch, "0" * 64)
    machine.refuses_update(memory, NotFound, exit_code=40, goes_on=True)


@pytest.mark.parametrize(
    ("sha256", "size"), [(EMPTY, 5), (digest_of(b"y"), 0)], ids=["of nothing", "with no size"]
)
def test_m23_digest_that_does_not_fit_its_size(machine: Machine, sha256: str, size: int) -> None:
    source = source_of(encoded(with_rows({**ROWS[0], "path": "n", "sha256": sha256, "size": size})))
    source.add_blob(b"")
    source.add_blob(b"y")
    machine.refuses_update(source, IntegrityError)


def test_m23_content_of_two_sizes(entrances: Entrances) -> None:
    """One of the two is made up, whichever came first."""
    twin = {**ROWS[0], "path": "twin.py", "size": 77}
    entrances.refuse(with_rows(twin), "'twin.py' states another size")


def test_m24_hash_that_does_not_recompute(entrances: Entrances) -> None:
    edited = document_of(files=[{**ROWS[0], "url": "edited"}, *ROWS[1:]])
    entrances.refuse(edited, "states manifest_hash", kinds=ManifestHashMismatch)
    for machine, target in entrances.take(edited, legacy=True):
        assert target.manifest_hash != NEW.manifest.manifest_hash
        required = ("1.1.0", target.manifest_hash)
        assert machine.updater.get_network_eligibility(*required) == Eligibility.ELIGIBLE
        stated = ("1.1.0", NEW.manifest.manifest_hash)
        assert machine.updater.get_network_eligibility(*stated) == Eligibility.OUTDATED


LF, CRLF = b"print(1)\nprint(2)\n", b"print(1)\r\nprint(2)\r\n"


def test_m25_lf_and_crlf_at_publish(publisher: Path) -> None:
    tool = write_tool(publisher / "tool", {"main.py": LF, "runner/run.ps1": b""})
    pack(publisher / "dist", tool)
    (tool / "main.py").write_bytes(CRLF)
    with checked(tool) as (found,):
        assert "CR LF" in "; ".join(found.warnings)
    with pytest.raises(ReleaseConflict) as caught:
        pack(publisher / "dist", tool)
    assert caught.value.exit_code == 31


def test_m25_lf_and_crlf_at_hq(hq: Caller) -> None:
    hq.publish({"main.py": LF}, "ends", "1.0.0")
    other = make_release({"main.py": CRLF}, tool_id="ends").manifest
    reply = hq.authorized("POST", SESSIONS, other.encode())
    assert (reply.status, reply.code) == (409, "release-conflict")


def test_m25_lf_and_crlf_at_install(machine: Machine) -> None:
    other = make_release({**FILES, "main.py": CRLF}, OLD.version)
    machine.refuses_update(MemorySource(other), ReleaseConflict, exit_code=31)


@pytest.mark.parametrize("policy", ["safe", "aggressive"])
@pytest.mark.parametrize("glob", ["**", "", "*", "../**", "/**", "C:/**", "**/../**"])
def test_m26_ignore_globs(tmp_path: Path, glob: str, policy: str) -> None:
    """They say what is carried along, and never what is deleted: at most less is."""
    fields: dict[str, Any] = {"ignore_globs": [glob], "delete_policy": policy}
    first, second, third = (
        make_release(FILES | {"main.py": version.encode()}, version, **fields)
        for version in ("1.0.0", "1.1.0", "1.2.0")
    )
    machine = Machine(tmp_path / "machine", first)
    (machine.tree.release("1.0.0") / "notes.txt").write_bytes(b"mine")
    for release in (second, third):
        machine.heals(MemorySource(release), release.manifest)
    is_carried = (machine.tree.release("1.2.0") / "notes.txt").exists()
    is_aside = (machine.tree.user_data / "from-v1.0.0/notes.txt").exists()
    assert is_carried == (glob in ("**", "*"))
    assert is_aside == (not is_carried and policy == "safe")


@pytest.mark.parametrize("globs", ["**", [5], {}, [None], [["a"]]])
def test_m26_ignore_globs_of_another_form(entrances: Entrances, globs: Any) -> None:
    entrances.refuse(rehashed(document_of(ignore_globs=globs)), "ignore_globs")


@pytest.mark.parametrize("policy", ["wipe", "", "AGGRESSIVE", "aggressive ", "safe\0"])
def test_m27_delete_policy_unknown(tmp_path: Path, publisher: Path, policy: str) -> None:
    """Safe where it is installed, for a later version may know more; refused where it is made."""
    first = make_release(FILES, "1.0.0", delete_policy=policy)
    machine = Machine(tmp_path / "machine", first)
    (machine.tree.release("1.0.0") / "notes.txt").write_bytes(b"mine")
    for version in ("1.1.0", "1.2.0"):
        release = make_release(FILES | {"main.py": version.encode()}, version, delete_policy=policy)
        machine.heals(MemorySource(release), release.manifest)
    assert (machine.tree.user_data / "from-v1.0.0/notes.txt").read_bytes() == b"mine"
    assert "delete_policy" in faults_of(write_tool(publisher / "tool", delete_policy=policy))


@pytest.mark.parametrize("policy", [5, None, ["safe"], {}])
def test_m27_delete_policy_of_another_form(entrances: Entrances, policy: Any) -> None:
    document = {**document_of(), "delete_policy": policy}
    entrances.refuse(rehashed(document), "delete_policy")


def test_m28_warmup_script_outside(entrances: Entrances, publisher: Path) -> None:
    for path in ("../warm.py", "/usr/bin/python3", "C:\\warm.py", "a/../../warm.py"):
        config = {"warmup_script": path}
        entrances.refuse(rehashed(document_of(flash_gpu_config=config)), "warmup_script")
        tool = write_tool(publisher / "tool", flash_gpu_config=config)
        with pytest.raises(ToolFolderInvalid, match="warmup_script"):
            pack(publisher / "dist", tool)


def test_m28_warmup_script_absent(entrances: Entrances, publisher: Path) -> None:
    """Refused where it is made; a worker that has it from elsewhere can still run its tool."""
    config = {"warmup_script": "warm.py"}
    tool = write_tool(publisher / "tool", flash_gpu_config=config)
    with pytest.raises(ToolFolderInvalid, match=r"warmup_script 'warm.py' is not in the release"):
        pack(publisher / "dist", tool)
    for machine, _target in entrances.take(rehashed(document_of(flash_gpu_config=config))):
        assert not (machine.tree.release("1.1.0") / "warm.py").exists()


@pytest.mark.parametrize(
    "sizes", [[2**50], [2**53 - 1] * 3, [2**53 - 1] * 2000], ids=["1 PiB", "over 2^54", "over 2^63"]
)
def test_m29_sum_of_sizes(machine: Machine, hq: Caller, sizes: list[int]) -> None:
    """Told before the first byte, in whole numbers however large."""
    rows = [
        {"path": f"m{number}", "sha256": f"{number + 1:064x}", "size": size}
        for number, size in enumerate(sizes)
    ]
    document = with_rows(*rows)
    source = source_of(encoded(document))
    error = machine.refuses_update(source, DiskFull, exit_code=50)
    assert source.asked == []
    assert error.fields["needed_bytes"] > sum(sizes)
    reply = hq.authorized("POST", SESSIONS, encoded(document))
    assert (reply.status, reply.code) == (507, "disk-full")


def test_m29_sum_of_sizes_in_a_package(entrances: Entrances, machine: Machine) -> None:
    """What a package does not hold it cannot promise."""
    _memory, _folder, package = entrances.sources(
        encoded(with_rows({"path": "m", "sha256": "a" * 64, "size": 2**50}))
    )
    machine.refuses_update(package, PackageInvalid, "'m' is missing")


def test_m30_tools_equal_under_case_folding(publisher: Path, machine: Machine) -> None:
    """An id has no capitals, so that two folders with it have the very same one."""
    first, second = (write_tool(publisher / name) for name in ("one", "two"))
    document = tool_document(tool_id="SAMPLE")
    (second / "tool.json").write_text(json.dumps(document), "utf-8")
    with pytest.raises(ToolFolderInvalid, match="tool_id 'SAMPLE'"):
        pack(publisher / "dist", first, second)
    write_tool(second)
    with checked(first, second) as tools:
        assert all("is that of" in "; ".join(tool.faults) for tool in tools)
    with pytest.raises(ToolFolderInvalid, match="is that of"):
        pack(publisher / "dist", first, second, making=MAKING)
    assert not (publisher / "dist").exists()
