"""The input: photos of a source, decoded, cropped and aged, as batches."""
