"""The bundled small backbone: a fixed patch-transform codec, and a decoder that sees aligned references."""
