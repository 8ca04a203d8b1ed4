"""Checkpoint bundles: a folder with a manifest, safetensors weights and instruction embeddings."""
