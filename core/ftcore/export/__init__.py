"""Writes a trained model as GGUF and certifies that the file says what the model says."""
