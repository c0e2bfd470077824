"""edgebench: edge deployment and latency benchmarks that say how far a number can be trusted."""

__version__ = "0.1.0"
