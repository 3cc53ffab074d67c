"""The machine that we run on: its files, folders and streams, and cleaning up after us."""
