"""The bundled RefTok: blocks of frames become tokens, given a reference on both sides."""
