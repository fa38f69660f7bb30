"""How each backbone is trained."""
