"""image_generation: pictures by a server of images."""
