"""What the bytes of a model mean: GGUF and safetensors as spans. Standard library and msgspec only."""
