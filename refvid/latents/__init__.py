"""Files of saved latents: recognise, read, write."""
