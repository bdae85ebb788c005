"""What a photo says beside its pixels: EXIF, XMP, IPTC, orientation."""
