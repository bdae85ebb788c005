"""PNG files of 8 and 16 bits, read and written to the last bit."""
