"""Devices: identity, cores, clocks, thermals, power."""
