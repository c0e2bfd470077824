"""PyTorch to artifacts: built, fused, converted, proven to compute the same, and cached by content."""
