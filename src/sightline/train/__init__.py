"""Fine-tuning.

Called, the package is the function of train/loop.py.
"""

from sightline.public_names import make_callable

make_callable(__name__, "sightline.train.loop", "train")
