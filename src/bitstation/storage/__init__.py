"""This machine's disk: durable writes, proofs, tool trees, journals, blob folders."""
