"""The doors: what a user calls in a notebook."""
