"""Which modules are mutated, the tests that must notice, and the mutants that nobody could."""

from __future__ import annotations

CHAIN = (
    "tests/unit/test_chain.py",
    "tests/unit/test_authorize.py",
    "tests/attack/test_trust_metadata.py",
    "tests/attack/test_trust.py",
    "tests/attack/test_trust_clocks.py",
)
DRAFTS = (
    "tests/unit/test_draft.py",
    "tests/attack/test_drafts_hostile.py",
    "tests/attack/test_drafts.py",
)
TESTS: dict[str, tuple[str, ...]] = {
    # Below src/bitstation/ (a glob may name several): test files in the order in which they run.
    "core/relpath.py": ("tests/unit/test_relpath.py",),
    "core/manifest.py": (
        "tests/unit/test_manifest_checks.py",
        "tests/unit/test_manifest.py",
        "tests/golden/test_conformance.py",
    ),
    "core/blockmap.py": ("tests/unit/test_blockmap.py", "tests/unit/test_plan.py"),
    "worker/verify.py": (
        "tests/engine/test_verifying.py",
        "tests/engine/test_healing.py",
        "tests/engine/test_eligible.py",
    ),
    "worker/activate.py": ("tests/engine/test_activating.py", "tests/engine/test_seed_scenario.py"),
    "storage/proving.py": ("tests/unit/test_proving.py", "tests/engine/test_healing.py"),
    "storage/locks.py": ("tests/unit/test_place_shared.py", "tests/unit/test_pins.py"),
    "codec/blocks.py": ("tests/unit/test_codec_blocks.py",),
    "worker/update.py": ("tests/engine/test_allowing.py", "tests/engine/test_releases_kept.py"),
    "transport/source.py": (
        "tests/unit/test_source_checks.py",
        "tests/contract/test_sources.py",
        "tests/contract/test_guided_sources.py",
    ),
    "trust/authorize.py": ("tests/unit/test_authorize.py",),
    "trust/believed.py": ("tests/unit/test_pins.py",),
    "trust/pins.py": ("tests/unit/test_pins.py", "tests/unit/test_authorize.py"),
    "trust/carry.py": ("tests/unit/test_carry.py",),
    "trust/walk.py": ("tests/unit/test_carry.py",),
    "trust/chain.py": CHAIN,
    "trust/roles.py": ("tests/unit/test_roles.py", *CHAIN),
    "trust/draft.py": DRAFTS,
    "trust/plain.py": DRAFTS,
    "trust/changes.py": ("tests/unit/test_key_changes.py",),
    "trust/ceremony.py": ("tests/unit/test_ceremony.py", "tests/unit/test_key_changes.py"),
    "trust/keyring.py": ("tests/unit/test_keyring.py", "tests/unit/test_place_shared.py"),
    "trust/elsewhere.py": ("tests/unit/test_elsewhere.py",),
    "trust/files.py": ("tests/unit/test_draft_folder.py",),
    "trust/draft_folder.py": ("tests/unit/test_draft_folder.py",),
    "trust/place.py": (
        "tests/unit/test_place.py",
        "tests/unit/test_place_shared.py",
        "tests/unit/test_key_changes.py",
    ),
    "trust/roster.py": ("tests/unit/test_roster.py",),
    "trust/signing.py": ("tests/unit/test_signing.py", "tests/unit/test_key_changes.py"),
}

ONLY: dict[str, tuple[str, ...]] = {
    # Of a module that does more than check: the functions that are mutated.
    "worker/update.py": ("_check_allowed", "_check_bases"),
}

EQUIVALENT: dict[tuple[str, str, str, str], str] = {
    # (module, function, before, after): why no test can tell it from the original.
    ("worker/update.py", "_check_allowed", "base", "False"): (
        "a short cut: the pointer names the version of the active release"
    ),
    ("core/manifest.py", "Manifest.created_at", "isinstance(value, str)", "True"): (
        "for the types: a manifest that was checked has text there or nothing"
    ),
    (
        *("core/manifest.py", "_entries"),
        "isinstance(row, dict) and row['path'] != MANIFEST_NAME",
        "row['path'] != MANIFEST_NAME",
    ): "for the types: what is no object is a fault before",
    ("core/manifest.py", "_strings", "isinstance(value, list)", "True"): (
        "for the types: what is no list is a fault before"
    ),
    ("core/relpath.py", "path_fault", "path.isascii()", "False"): (
        "a short cut: what is asked of other text holds for ASCII too"
    ),
    ("core/relpath.py", "_name_fault", "not name.isascii()", "True"): (
        "a short cut: the hidden characters of ASCII are refused above"
    ),
    (
        *("core/relpath.py", "_name_fault"),
        "'~' in name and _SHORT_ALIAS.match(name)",
        "_SHORT_ALIAS.match(name)",
    ): "a short cut: no name without a tilde matches",
    (
        *("storage/proving.py", "prove_files"),
        "proof.facts is None or proof.digest is None",
        "proof.digest is None",
    ): "for the types: what was hashed had facts before",
    (
        *("trust/authorize.py", "Authority._keep"),
        "self._chain is not None and self._before is not None",
        "self._chain is not None",
    ): "for the types: there is no chain where nothing is pinned",
    ("storage/locks.py", "held_lock", "time.sleep(_NAP_S)", "pass"): (
        "only processor time: it is asked again at once"
    ),
    ("storage/locks.py", "held_lock", "time.monotonic() >= end_s", "time.monotonic() > end_s"): (
        "the same but for one reading of a clock, where that is a fine one"
    ),
    (
        *("trust/chain.py", "Chain.find"),
        "delegator != ROOT and f'{role}.json' not in self._trusted.snapshot.meta",
        "f'{role}.json' not in self._trusted.snapshot.meta",
    ): "refresh has loaded the list of publishers, or has failed",
    (
        *("trust/chain.py", "Chain._load_targets"),
        "isinstance(known, Targets) and self._trusted.contains(role, delegator)",
        "self._trusted.contains(role, delegator)",
    ): "for the types: what is contained was loaded as a list",
    ("trust/pins.py", "_age", "version_in(believed.root) or 0", "version_in(believed.root)"): (
        "for the types: what is kept as a root was checked, and has a version"
    ),
    ("trust/keyring.py", "keyid_of", "encode_canonical(facts) or ''", "encode_canonical(facts)"): (
        "for the types: there is no text only where it is written to a stream instead"
    ),
    ("trust/place.py", "Place._before", "data is not None", "True"): (
        "for the types: the chain has just been read from these files"
    ),
    (
        *("trust/signing.py", "check_next"),
        "(fresh := chain.load_any(file.role))",
        "(fresh := chain.load_any(file.role)) or True",
    ): "for the types: the snapshot names all files but those of the top roles, known as little",
    (
        *("trust/signing.py", "bins_held"),
        "(held := chain.load(role, publisher))",
        "(held := chain.load(role, publisher)) or True",
    ): "for the types: the snapshot names them",
    ("core/relpath.py", "fold_key", "path.isascii()", "False"): (
        "a short cut: ASCII folds to its lower case the long way too"
    ),
}
