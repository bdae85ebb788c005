"""Films: grey ones in, the same ones in colours that hold from frame to frame."""
