"""Image encoders and the instance decoder."""
