"""TensorFlow as the input uses it: on the host's processors, quiet, and blind to accelerators.

Every module of the input takes `tf` from here, so that none of them can meet TensorFlow before it
is set up: it would take all of a GPU's memory for itself.
"""

from __future__ import annotations

import os

from jaxcolor import startup

# Whatever goes wrong is raised; the log would only tell of damaged photos, without their names.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# oneDNN may add in another order; a run that starts again must see the same bits.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

with startup.without_keras():
    import tensorflow as tf

tf.config.set_visible_devices([], "GPU")
tf.config.set_visible_devices([], "TPU")

__all__ = ["tf"]
