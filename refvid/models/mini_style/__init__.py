"""The bundled style backbone: a decoder whose reference is a painting, not a frame of the shot."""
