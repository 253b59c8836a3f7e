"""COCO numbers and the choices that follow from them.

Called, the package is the function of evaluate/run.py.
"""

from sightline.public_names import make_callable

make_callable(__name__, "sightline.evaluate.run", "evaluate")
