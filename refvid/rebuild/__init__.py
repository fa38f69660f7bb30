"""Taking videos and latents through a backbone: plans, sessions, and the commands around them."""
