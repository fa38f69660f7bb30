"""The bundled small backbone: a fixed patch-transform codec and a local-attention decoder."""
