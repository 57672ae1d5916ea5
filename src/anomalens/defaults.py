"""What is used where nobody chose; of its own, so that help texts load nothing heavy."""

from typing import Final

DETECTOR: Final = "auto"
