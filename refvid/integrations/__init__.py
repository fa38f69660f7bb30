"""Other libraries' interfaces to refvid's models."""
