"""What the project's code has read: the files that it has opened or asked for, and the folders that it has listed.

Loaded by in_environment.py by path, in the project's interpreter, under the same conditions: standard library,
Python >= 3.8. It only collects; it decides nothing.

    events:     depends {files, listed, searched, sites, started}

A file that did not exist when it was asked for is included. Files that C code reads, such as a driver's own, are
not; nor are files of Python and of installed packages, which have versions. What another process reads cannot be
observed, only that one was started.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType
    from typing import Any

MOST = 20000
IMPORTING = tuple(
    os.path.join("", *path)
    for path in (("importlib", "metadata", "__init__.py"), ("importlib", "metadata.py"), ("pkgutil.py",))
)
"""The ends of the paths of standard library files that look for modules and for installed packages."""
STARTS = frozenset(
    ["subprocess.Popen", "os.system", "os.posix_spawn", "os.spawn", "os.exec", "os.fork", "os.forkpty"]
)
PASSING_ON = (os.path.join("", "subprocess.py"), os.path.join("", "os.py"))
ASKING_THE_SYSTEM = tuple(
    os.path.join("", *path) for path in (("ctypes", "util.py"), ("platform.py",), ("uuid.py",), ("getpass.py",))
)
"""The ends of the paths of standard library files that start a process to query the machine."""
LIBRARY = (os.path.dirname(os.path.realpath(os.__file__)) + os.sep, os.path.dirname(os.__file__) + os.sep)
"""Where the standard library is."""


class Dependencies:
    """Records what is opened, from `install` until `told`."""

    def __init__(self) -> None:
        self.opened: set[Any] = set()
        self.listed: set[Any] = set()
        self.searched: set[Any] = set()
        self.started = False
        self.listening = False

    def install(self) -> None:
        self.listening = True
        sys.addaudithook(self.heard)
        os.stat = Asked(os.stat, self)
        os.access = Asked(os.access, self)
        pathlib = sys.modules.get("pathlib")  # before Python 3.11, it holds its own reference
        accessor = getattr(pathlib, "_NormalAccessor", None)
        if accessor is not None and "stat" in vars(accessor):
            accessor.stat = os.stat

    def heard(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.listening:
            return
        if event == "open":
            if reads(args[2]):
                self.note(self.opened, args[0])
        elif event == "os.listdir" or event == "os.scandir":
            # an import lists a folder only to find modules
            by = sys._getframe(1).f_code.co_filename
            self.note(
                self.searched if by.startswith("<frozen ") or by.endswith(IMPORTING) else self.listed, args[0]
            )
        elif event == "sqlite3.connect":
            self.note(self.opened, args[0])
        elif event in STARTS:
            self.started = self.started or not (asks_the_system() or loads_a_package())

    def note(self, found: set[Any], path: Any) -> None:
        try:
            if path is None:
                path = "."
            elif not isinstance(path, (str, bytes)):
                if isinstance(path, int):
                    return
                path = os.fspath(path)
            path = os.fsdecode(path)
            found.add(path if os.path.isabs(path) else os.path.abspath(path))
        except Exception:  # it belongs to the project: an object that is not a path, or a folder that is gone
            return

    def told(self) -> dict[str, Any] | None:
        """Return everything so far as an event; None if it is too much. Nothing is recorded afterwards."""
        self.listening = False
        opened = {source_of(each) for each in set(self.opened)}
        for module in list(sys.modules.values()):
            try:
                file = vars(module).get("__file__")
            except TypeError:  # another object that the project has put there
                continue
            if isinstance(file, str) and os.path.isabs(file):
                opened.add(source_of(file))
        outside = of_python()

        def kept(paths: Iterable[str]) -> list[str]:
            return sorted(each for each in paths if not outside(each))

        files, listed, searched = kept(opened), kept(self.listed), kept(self.searched)
        if len(files) + len(listed) + len(searched) > MOST:
            return None
        return {
            "event": "depends",
            "files": files,
            "listed": listed,
            "searched": searched,
            "started": self.started,
            "sites": sorted(each for each in map(os.path.abspath, sys.path) if is_site(each)),
        }


def reads(flags: Any) -> bool:
    return not isinstance(flags, int) or flags & os.O_ACCMODE != os.O_WRONLY


class Asked:
    """Wraps a function of `os` that queries a path. Not a Python function, so that it does not become a method if a
    class holds it.
    """

    def __init__(self, function: Callable[..., Any], dependencies: Dependencies) -> None:
        self.function = function
        self.dependencies = dependencies
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__
        for name in ("supports_dir_fd", "supports_effective_ids", "supports_fd", "supports_follow_symlinks"):
            able = getattr(os, name)
            if function in able:
                able.add(self)

    def __call__(self, path: Any, *args: Any, **kwargs: Any) -> Any:
        if self.dependencies.listening and kwargs.get("dir_fd") is None:
            self.dependencies.note(self.dependencies.opened, path)
        return self.function(path, *args, **kwargs)


def asks_the_system() -> bool:
    """Return whether the standard library starts a process for its own purposes."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.endswith(PASSING_ON):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.endswith(ASKING_THE_SYSTEM)


def loads_a_package() -> bool:
    """Return whether an installed package starts a process while it is imported, as GitPython does to find git. What it
    does then is known by its version; what the project has it do later is not.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and (is_installed(frame.f_code.co_filename) or of_library(frame.f_code.co_filename)):
        if frame.f_code.co_name == "<module>":
            return is_installed(frame.f_code.co_filename)
        frame = frame.f_back
    return False


def is_installed(path: str) -> bool:
    return os.sep + "site-packages" + os.sep in path or os.sep + "dist-packages" + os.sep in path


def of_library(path: str) -> bool:
    return path.startswith(LIBRARY)


def source_of(path: str) -> str:
    """Return the source file for a byte code file; any other path unchanged."""
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
    """Return a function that recognizes files of Python, of installed packages, of the system and of the reviewer."""
    import sysconfig

    in_memory = "/dev/shm/"  # holds files like any other folder

    paths = sysconfig.get_paths()
    names = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib") if paths.get(name)]
    names += [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.realpath(os.__file__))]
    names += ["/proc", "/dev", "/sys", os.path.join(sys.base_prefix, "share", "locale")]
    names += [
        each
        for each in sys.path
        if each.endswith(".zip") and os.path.dirname(each) == os.path.dirname(paths["stdlib"])
    ]
    prefixes = tuple({each.rstrip(os.sep) + os.sep for name in names for each in (name, os.path.realpath(name))})

    def outside(path: str) -> bool:
        inside = os.sep + "site-packages" in path or os.sep + "dist-packages" in path
        beside = path.startswith(prefixes) and not path.startswith(in_memory)
        return inside or beside or path + os.sep in prefixes or not os.path.isabs(path)

    return outside
