"""Files of tokens: what they hold, how they are written, read and exported. Imports no torch."""
