"""RefDecoder on the Wan 2.1 video VAE."""
