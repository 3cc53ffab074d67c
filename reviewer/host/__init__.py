"""The machine that we run on: its files, folders and streams, and what clears up after us."""
