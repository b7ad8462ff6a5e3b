"""What the bytes of a model mean: GGUF and safetensors as spans, without third-party readers."""
