"""Scripts that print the figures that README claims; run as ``python -m benchmarks.NAME`` from a checkout."""
