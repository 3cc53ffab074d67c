"""Judging a recording: a pure function from it to findings and a verdict."""
