"""A service for posts and votes."""
