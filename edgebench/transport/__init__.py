"""Ways to a device: they move bytes and run commands, and know no platform."""
