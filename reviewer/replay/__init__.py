"""What the recorded statements mean, read in order: their operations, what each did, and the schema after it."""
