"""How well a model restores: the cases it is judged by, what is measured, and the report."""
