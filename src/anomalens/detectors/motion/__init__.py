"""What moves otherwise than usual."""
