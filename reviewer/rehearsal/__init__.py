"""Running the revisions on a throw-away server, and writing down what happened."""
