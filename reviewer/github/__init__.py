"""GitHub: what triggered the run, and the comment on the pull request. The only package that imports PyGithub."""
