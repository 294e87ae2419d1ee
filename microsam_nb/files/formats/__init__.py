"""Objects in files, one module per format; ``files.export`` and ``files.importing`` are the doors to them."""
