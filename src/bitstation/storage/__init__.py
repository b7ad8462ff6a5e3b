"""The disk of this machine: durable writes, proofs, tool trees, journals, blob folders."""
