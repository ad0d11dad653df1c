"""Three months of mail, made up: what `python -m bench.stats` and `python -m bench.pages` measure on."""
