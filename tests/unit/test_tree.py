"""Where everything of a tools root lies, and what counts as ours there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bitstation.errors import StoreError, UsageError
from bitstation.storage.tree import PlainPaths, ToolsRoot, ToolTree, files_below
from bitstation.testing.releases import TOOL_ID, make_release


@pytest.fixture
def root(tmp_path: Path) -> ToolsRoot:
    return ToolsRoot(tmp_path / "tools")


@pytest.fixture
def tree(root: ToolsRoot) -> ToolTree:
    made = root.tool(TOOL_ID)
    made.releases.mkdir(parents=True)
    return made


def release(tree: ToolTree, version: str, manifest: bytes | None = None) -> Path:
    folder = tree.release(version)
    made = make_release({"a": b"a"}, version)
    made.write(folder)
    if manifest is not None:
        (folder / "manifest.json").write_bytes(manifest)
    return folder


def test_the_layout_is_that_of_the_contract(root: ToolsRoot) -> None:
    tree = root.tool("z-image-turbo")
    places = {
        "z-image-turbo/releases/v2.4.1": tree.release("2.4.1"),
        "z-image-turbo/releases/.staging/v2.4.2": tree.staging("2.4.2"),
        "z-image-turbo/current.txt": tree.pointer,
        "z-image-turbo/.bitstation": tree.control,
        "z-image-turbo/user_data": tree.user_data,
        ".bitstation": root.control,
    }
    for place, path in places.items():
        assert path == root.path / place


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "con", "a\x00", ".bitstation"])
def test_what_is_no_tool_id_never_becomes_a_path(root: ToolsRoot, name: str) -> None:
    with pytest.raises(UsageError):
        root.tool(name)


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (b"v1.0.0", "1.0.0"),
        (b"v1.0.0\r\n", "1.0.0"),
        (b"v1.0.0-rc.1+b", "1.0.0-rc.1+b"),
        (b"1.0.0", None),
        (b"", None),
        (b"v", None),
        (b"v1.0", None),
        (b"v../../x", None),
        (b"v1.0.0 v2.0.0", None),
        (b"\xff\xfev1.0.0", None),
        (b"v1.0.0" + b" " * 200 + b"x", "1.0.0"),
        (b"v" + b"1" * 1000, None),
    ],
)
def test_a_pointer_names_a_version_or_nothing(
    tree: ToolTree, data: bytes, version: str | None
) -> None:
    tree.pointer.write_bytes(data)
    assert tree.current_version() == version


def test_no_pointer_names_nothing(tree: ToolTree) -> None:
    assert tree.current_version() is None
    tree.pointer.mkdir()
    assert tree.current_version() is None


def test_kept_releases_are_folders_of_versions_with_a_manifest_newest_first(
    tree: ToolTree,
) -> None:
    for version in ("1.9.0", "1.10.0", "1.10.0-rc.1", "2.0.0"):
        release(tree, version)
    (tree.release("2.0.0") / "manifest.json").unlink()
    for name in ("v", "vx", "v01.0.0", "1.0.0", "latest", ".staging", ".retired-v1.0.0", "V3.0.0"):
        (tree.releases / name).mkdir()
        (tree.releases / name / "manifest.json").write_bytes(b"{}")
    (tree.releases / "v4.0.0").write_bytes(b"a file")

    assert tree.kept_versions() == ["1.10.0", "1.10.0-rc.1", "1.9.0"]
    assert tree.release_folders() == ["2.0.0", "1.10.0", "1.10.0-rc.1", "1.9.0"]
    assert tree.retired_folders() == [tree.retired("1.0.0")]


def test_a_tool_without_a_folder_has_nothing(root: ToolsRoot) -> None:
    tree = root.tool("nothing")
    assert (tree.kept_versions(), tree.release_folders(), tree.retired_folders()) == ([], [], [])
    assert tree.manifest("1.0.0") is None
    tree.check_folders()
    assert root.tools() == []


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff"])
def test_a_damaged_manifest_is_none(tree: ToolTree, data: bytes) -> None:
    release(tree, "1.0.0", data)
    assert tree.manifest("1.0.0") is None


def test_the_manifest_of_another_release_is_none(tree: ToolTree) -> None:
    """A folder that was renamed by hand is not the release that its name says."""
    release(tree, "1.0.0", make_release({"a": b"a"}, "1.1.0").manifest.encode())
    other = make_release({"a": b"a"}, "1.2.0", tool_id="other-tool")
    release(tree, "1.2.0", other.manifest.encode())
    assert tree.manifest("1.0.0") is None
    assert tree.manifest("1.2.0") is None


def test_tools_are_folders_with_releases(root: ToolsRoot, tree: ToolTree) -> None:
    (root.path / "No-Tool" / "releases").mkdir(parents=True)
    (root.path / "empty").mkdir()
    (root.path / "a-file").write_bytes(b"x")
    assert [found.tool_id for found in root.tools()] == [tree.tool_id]


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: symlinks")
def test_linked_folders_are_not_ours(tree: ToolTree, tmp_path: Path) -> None:
    outside = make_release({"a": b"a"}).write(tmp_path / "outside")
    tree.release("1.0.0").symlink_to(outside)
    assert (tree.kept_versions(), tree.release_folders()) == ([], [])
    assert tree.manifest("1.0.0") is None
    with pytest.raises(StoreError, match="link"):
        tree.check_folders()


@pytest.mark.skipif(sys.platform == "win32", reason="only on POSIX: symlinks")
def test_paths_behind_links_and_files_do_not_lie_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "in/link").symlink_to(tmp_path / "outside")
    (tmp_path / "in/file").write_bytes(b"x")
    plain = PlainPaths(tmp_path / "in")
    for path in ("a", "deep/a", "absent/a", "absent/b/c", "link", "file"):
        assert path in plain, path
    for path in ("link/a", "link/b/c", "file/a"):
        assert path not in plain, path


def test_everything_below_a_folder_is_found(tmp_path: Path) -> None:
    for path in ("b/c/d", "b/a", "a", "ñ/x"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    (tmp_path / "empty/folder").mkdir(parents=True)
    assert sorted(files_below(tmp_path)) == ["a", "b/a", "b/c/d", "ñ/x"]
    assert list(files_below(tmp_path / "absent")) == []
    assert list(files_below(tmp_path / "a")) == []
