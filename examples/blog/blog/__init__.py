"""A blog: users, posts, comments and tags."""
