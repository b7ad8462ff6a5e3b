"""A folder becomes a release: found, checked, listed, packed, proved."""
