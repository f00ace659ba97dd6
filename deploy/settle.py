"""Settles the program in an image's Python: ``settle.py TREE``, run once when the image is made.

The source tree stays as it is and becomes importable; its version becomes known to ``importlib.metadata``. A build
backend would need packages of its own for that, and a lock of their hashes.

rbcl, left alone, writes libsodium to the temporary folder at every start and loads it from there: containers would need
a temporary folder that programs can be run from. Before that it asks for a module ``_sodium``; this writes one.
"""

import importlib
import shutil
import sys
import sysconfig
import tomllib
from pathlib import Path


def settle_tree(packages: Path, tree: Path) -> None:
    """Make the program importable and its version known."""
    project = tomllib.loads((tree / "pyproject.toml").read_text("utf-8"))["project"]
    (packages / "health_exchange.pth").write_text(f"{tree / 'src'}\n")
    about = packages / f"health_exchange-{project['version']}.dist-info"
    about.mkdir()
    lines = ("Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}")
    (about / "METADATA").write_text("\n".join(lines) + "\n")


def settle_sodium(packages: Path) -> None:
    """Unpack libsodium for good."""
    importlib.import_module("rbcl")
    library = packages / "libsodium.so"
    shutil.move(sys.modules["rbcl._sodium"].lib_path, library)
    library.chmod(0o444)
    (packages / "_sodium.py").write_text(f"from ctypes import cdll\n\n_sodium = cdll.LoadLibrary({str(library)!r})\n")


if __name__ == "__main__":
    place = Path(sysconfig.get_path("purelib"))
    settle_tree(place, Path(sys.argv[1]).resolve())
    settle_sodium(place)
