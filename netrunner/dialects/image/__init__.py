"""The dialect of ``POST /image``: a prompt in, an image's bytes out."""
