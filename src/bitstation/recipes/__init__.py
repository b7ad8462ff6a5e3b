"""Making of guides and packs: how to reach a release with few bytes."""
