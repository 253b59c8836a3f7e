"""The network in TensorFlow's own operators, and the artefacts made of it.

Importing the package imports TensorFlow.
"""

from sightline.runtime.engines.tensorflow import import_tensorflow

import_tensorflow("making a TensorFlow artefact")
