"""Image → one feature vector: what every image-level detector starts from."""
