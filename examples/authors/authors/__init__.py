"""Authors, their posts, and tags."""
