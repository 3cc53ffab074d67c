"""What the project's code has read: the files that it has opened and the folders that it has looked through.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library, Python
>= 3.8. It decides nothing and judges nothing.

    events:     depends {files, listed, searched, sites}

A file that was not there when it was asked for is among them. What is read by C code, such as a driver's own files, is
not; neither are Python's own files and what is installed beside them, which have versions.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

MOST = 20000
IMPORTING = tuple(
    os.path.join("", *path)
    for path in (("importlib", "metadata", "__init__.py"), ("importlib", "metadata.py"), ("pkgutil.py",))
)
"""The ends of the files of the standard library that look for modules and for what is installed."""


class Dependencies:
    """Listens to what is opened, from `install` until `told`."""

    def __init__(self) -> None:
        self.opened: set[Any] = set()
        self.listed: set[Any] = set()
        self.searched: set[Any] = set()
        self.listening = False

    def install(self) -> None:
        self.listening = True
        sys.addaudithook(self.heard)

    def heard(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.listening:
            return
        if event == "open":
            if reads(args[2]):
                self.note(self.opened, args[0])
        elif event == "os.listdir" or event == "os.scandir":
            # an import looks through a folder for modules only
            by = sys._getframe(1).f_code.co_filename
            self.note(
                self.searched if by.startswith("<frozen ") or by.endswith(IMPORTING) else self.listed, args[0]
            )

    def note(self, found: set[Any], path: Any) -> None:
        try:
            if path is None:
                path = "."
            elif not isinstance(path, (str, bytes)):
                if isinstance(path, int):
                    return
                path = os.fspath(path)
            found.add(path if os.path.isabs(path) else os.path.abspath(path))
        except Exception:  # it is the project's: an object that is no path, or a folder that is gone
            return

    def told(self) -> dict[str, Any]:
        """Everything so far, as an event. Nothing is heard after it."""
        self.listening = False
        opened = {source_of(each) for each in texts(self.opened)}
        for module in list(sys.modules.values()):
            try:
                file = vars(module).get("__file__")
            except TypeError:  # something else that the project has put there
                continue
            if isinstance(file, str) and os.path.isabs(file):
                opened.add(source_of(file))
        outside = of_python()

        def kept(paths: Iterable[str]) -> list[str]:
            return sorted(each for each in paths if not outside(each))[:MOST]

        return {
            "event": "depends",
            "files": kept(opened),
            "listed": kept(texts(self.listed)),
            "searched": kept(texts(self.searched)),
            "sites": sorted(each for each in map(os.path.abspath, sys.path) if is_site(each)),
        }


def reads(flags: Any) -> bool:
    return not isinstance(flags, int) or flags & os.O_ACCMODE != os.O_WRONLY


def texts(paths: Iterable[Any]) -> set[str]:
    return {os.fsdecode(each) for each in paths}


def source_of(path: str) -> str:
    """The source of a file with byte code; else the file itself."""
    if not path.endswith(".pyc"):
        return path
    from importlib.util import source_from_cache

    try:
        source = source_from_cache(path)
    except (ValueError, NotImplementedError):
        source = path[:-1]
    return source if os.path.exists(source) else path


def is_site(path: str) -> bool:
    return os.path.basename(path) in ("site-packages", "dist-packages")


def of_python() -> Callable[[str], bool]:
    """Tells what belongs to Python, to what is installed, to the system or to us."""
    import sysconfig

    paths = sysconfig.get_paths()
    names = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib") if paths.get(name)]
    names += [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.realpath(os.__file__))]
    names += ["/proc", "/dev", "/sys"]
    names += [
        each
        for each in sys.path
        if each.endswith(".zip") and os.path.dirname(each) == os.path.dirname(paths["stdlib"])
    ]
    prefixes = tuple({each.rstrip(os.sep) + os.sep for name in names for each in (name, os.path.realpath(name))})

    def outside(path: str) -> bool:
        inside = os.sep + "site-packages" in path or os.sep + "dist-packages" in path
        return inside or path.startswith(prefixes) or path + os.sep in prefixes or not os.path.isabs(path)

    return outside
