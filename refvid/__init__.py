"""Reference-conditioned video decoding: bring a video's lost details back from one clean image."""

__version__ = "0.1.0"
