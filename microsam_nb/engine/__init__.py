"""The verbs: load a model, encode an image, answer prompts, train. Importable without any widget library."""
