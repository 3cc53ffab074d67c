"""The checks: one file per rule. Dropping a file in registers it."""
