"""TIFF files as scanners and photo programs write them, read and written in full depth."""
