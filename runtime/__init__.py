"""The PyTorch-free side: camera, faces, generator, paste (docs/architecture.md)."""
