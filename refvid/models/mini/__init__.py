"""The bundled small backbone: a fixed codec, and a decoder that sees aligned references."""
