"""Proof of the statistics: checks for real on this machine, the same under noise fitted to them, and other rules beside."""
