"""GitHub: what an event asks for, and the comment on the pull request. The only home of PyGithub."""
