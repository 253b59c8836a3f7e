"""Artefacts of trained networks, and the proof that they find the same.

Called, the package is the function of export/run.py.
"""

from sightline.public_names import make_callable

make_callable(__name__, "sightline.export.run", "export")
