"""What made clips show, see `refvid.training.made`: pictures that code draws, and photographs."""
