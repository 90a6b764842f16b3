"""Measurements from real files; run as `python -m benchmarks.rate_distortion`, `.bits_back` and `.speed`."""
