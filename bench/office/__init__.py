"""The parts of `python -m bench.delivery`."""
