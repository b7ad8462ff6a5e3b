"""Names of roles, and of the files in which they lie."""

from __future__ import annotations

import pytest

from bitstation.trust.roles import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, file_name, publisher_fault


@pytest.mark.parametrize("name", ["acme", "a", "a1_b", "x" * 32])
def test_names_of_publishers(name: str) -> None:
    assert publisher_fault(name) is None


@pytest.mark.parametrize(
    "name",
    ["", "A", "1a", "_a", "a-b", "a.b", "a/b", "é", "x" * 33, "a\n", ROOT, TIMESTAMP, SNAPSHOT,
     TARGETS, "requirements"],
)  # fmt: skip
def test_names_that_no_publisher_has(name: str) -> None:
    assert publisher_fault(name) is not None


@pytest.mark.parametrize("role", ["../x", "C:\\x", "a/b", "?", "é", "CON"])
def test_a_role_may_be_called_anything_its_file_may_not(role: str) -> None:
    name = file_name(role, 3)
    assert name.startswith("3.")
    assert name.endswith(".json")
    assert not set(name) & set('/\\:*?"<>|')


def test_a_role_with_too_long_a_name_has_no_file() -> None:
    file_name("x" * 192, 1)
    with pytest.raises(ValueError, match="no name"):
        file_name("x" * 193, 1)
