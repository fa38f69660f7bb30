"""One module per command: the story from options to report."""
