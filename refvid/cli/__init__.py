"""Words in, words out: the Typer program."""
