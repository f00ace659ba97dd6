"""Unpacks rbcl's libsodium once, when an image is made.

Left alone, rbcl writes it to the temporary folder at every start and loads it from there: containers would need a
temporary folder that can hold programs. Before that it asks for a module ``_sodium``; this writes one.
"""

import importlib
import shutil
import sys
import sysconfig
from pathlib import Path

importlib.import_module("rbcl")
unpacked = sys.modules["rbcl._sodium"].lib_path

packages = Path(sysconfig.get_path("purelib"))
library = packages / "libsodium.so"
shutil.move(unpacked, library)
library.chmod(0o444)
(packages / "_sodium.py").write_text(f"from ctypes import cdll\n\n_sodium = cdll.LoadLibrary({str(library)!r})\n")
