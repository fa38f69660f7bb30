"""RefDecoder on VideoVAE+."""
