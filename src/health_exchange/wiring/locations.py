"""Where the things that ship beside the code are: in the source tree, or inside an installed wheel."""

from pathlib import Path

import health_exchange

_PACKAGE = Path(health_exchange.__file__).parent
_SHIPPED = _PACKAGE / "_shipped"
_TREE = _PACKAGE.parents[1]


def shipped(name: str) -> Path:
    """The folder ``migrations``, ``policies`` or ``sample_records``.

    Raises:
        FileNotFoundError: This installation lacks it.
    """
    for folder in (_SHIPPED / name, _TREE / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"this installation of health_exchange lacks its {name} folder")
