"""A file in a draft of a place's first or next keys, as it is and signed by one owner.

The input is the file's name, after ``before/`` where it stands among those that are replaced, a
line feed and the file.
"""

from __future__ import annotations

from bitstation.core.mirror import is_metadata_name
from bitstation.errors import SignatureRefused
from bitstation.trust.draft import Draft
from bitstation.trust.signing import File
from tests.fuzz.signed_place import FIRST, NEXT, NOW, check_words, resigned


def check(data: bytes) -> bool:
    """What is checked can be shown: who has still to sign, and what it will be."""
    head, _, document = data.partition(b"\n")
    place, slash, name = head.decode("utf-8", "replace").rpartition("/")
    if place + slash not in ("", "before/") or not is_metadata_name(name):
        return False
    signed = resigned(document, File(name, b"").role, ("ana",))
    files = [File(name, each) for each in dict.fromkeys((document, signed))]
    return any(
        [_taken(_with(draft, file, bool(slash))) for draft in (FIRST, NEXT) for file in files]
    )


def _taken(draft: Draft) -> bool:
    try:
        draft.check(NOW)
    except SignatureRefused as error:
        check_words(error)
        return False
    for wait in draft.waits():
        assert 0 < wait.missing <= len(wait.keys)
    root, targets = draft.then()
    if now := draft.now():
        assert (root.version, targets.version) >= (now[0].version, now[1].version)
    return True


def _with(draft: Draft, file: File, is_before: bool) -> Draft:
    if is_before:
        return Draft(draft.files, _laid(draft.before, file))
    return Draft(_laid(draft.files, file), draft.before)


def _laid(files: tuple[File, ...], file: File) -> tuple[File, ...]:
    """Files with one in the place of its name, or beside them."""
    named = {each.name: each for each in files}
    return tuple({**named, file.name: file}.values())
