"""TensorRT: engines are built, timed and profiled on the device, and what its programs print is read here."""
