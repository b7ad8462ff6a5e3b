"""The tree of errors: stable codes, the exit codes of the contract, messages that always print."""

from __future__ import annotations

import re
import string

import pytest

from bitstation import errors
from bitstation.errors import BitStationError, ManifestError

EXIT_CODES = {1, 2, 20, 21, 30, 31, 32, 40, 41, 50, 51, 52, 60, 61, 66, 70, 75, 130, 143}


def every_class() -> list[type[BitStationError]]:
    found = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return [kind for kind in found if issubclass(kind, BitStationError)]


@pytest.mark.parametrize("kind", every_class(), ids=lambda kind: kind.__name__)
def test_a_class_says_what_it_is(kind: type[BitStationError]) -> None:
    assert kind.__doc__
    assert kind.exit_code in EXIT_CODES
    assert re.fullmatch(r"[a-z][a-z-]*", kind.code)
    error = kind()
    assert str(error), "a message never fails to print, even without its fields"
    assert isinstance(error.advice(), str)


def test_codes_are_those_of_one_class_or_of_its_family() -> None:
    seen: dict[str, type[BitStationError]] = {}
    for kind in every_class():
        other = seen.setdefault(kind.code, kind)
        assert issubclass(kind, other) or issubclass(other, kind), kind


def test_templates_are_filled_from_the_fields_and_can_be_translated() -> None:
    error = errors.DiskFull(path="/x", needed_bytes=5, free_bytes=3)
    assert str(error) == "not enough space at /x: 5 bytes needed, 3 free"
    assert error.text(lambda text: text.replace("not enough space", "falta espacio")).startswith(
        "falta espacio at /x"
    )
    assert error.fields == {"path": "/x", "needed_bytes": 5, "free_bytes": 3}


def test_a_value_with_braces_is_not_a_template() -> None:
    assert "{evil}" in str(errors.NotFound(source="{evil}", what="{0.__class__}"))


def test_every_template_names_plain_fields_only() -> None:
    for kind in every_class():
        for text in (kind.message, kind.hint):
            for _literal, field, spec, conversion in string.Formatter().parse(text):
                assert field is None or re.fullmatch(r"[a-z_0-9]+", field), kind
                assert not spec
                assert conversion in (None, "r"), kind


def test_many_faults_are_named_in_a_message_of_bounded_length() -> None:
    error = ManifestError.of("it", [f"fault {n} " + "x" * 1000 for n in range(5000)])
    assert len(str(error)) < 8000
    assert "and 4980 more" in str(error)
    assert len(error.faults) == 1000
    assert ManifestError(what="it", detail="d").faults == (
        str(ManifestError(what="it", detail="d")),
    )
