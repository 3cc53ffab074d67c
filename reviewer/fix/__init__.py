"""Fixes: what a finding's remedy says, written into the project's own files, and rehearsed before it is offered."""
