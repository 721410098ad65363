"""ONNX files as they are: what is read of them, what is refused, where their weights lie."""
