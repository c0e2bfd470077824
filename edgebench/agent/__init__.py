"""The program beside the model on the device: reads a plan, writes a trace.

Standard library plus the runtime and its numpy, Python >= 3.8, nothing else of edgebench: boards run it as it is.
"""
