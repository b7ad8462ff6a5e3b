"""Bytes to bytes: formats, hashing, compression, deltas."""
