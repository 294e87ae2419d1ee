"""The letterbox: files in and out. Imports neither torch nor widgets."""
