"""The terminal that a text is formatted for: its width and colours."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text


Colours = Literal["standard", "256", "truecolor", "windows"]


class Terminal(Struct, frozen=True):
    """What a stream can show. The default is a pipe or a file: no colours, and every line as long as it is."""

    width: int | None = None
    """Columns; None: nothing is wrapped."""
    colours: Colours | None = None

    @classmethod
    def of(cls, stream: IO[str]) -> Terminal:
        """What `stream` can show, as TERM, COLUMNS, NO_COLOR and FORCE_COLOR say."""
        from rich.console import Console

        console = Console(file=stream)
        coloured = console.is_terminal and not console.no_color
        return cls(
            width=console.width if stream.isatty() else None,
            colours=console.color_system if coloured else None,  # type: ignore[arg-type]  # rich says str
        )

    def console(self) -> Console:
        """A rich console that writes to memory, the same for the same terminal whatever the environment says."""
        from rich.console import Console

        return Console(
            file=io.StringIO(),
            width=self.width or 100,
            height=25,
            force_terminal=self.colours is not None,
            force_interactive=False,
            color_system=self.colours,
            no_color=self.colours is None,
            legacy_windows=False,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def printed(self, lines: Iterable[RenderableType]) -> str:
        """`lines` as they come out, without a space at the end of one."""
        console = self.console()
        for line in lines:
            console.print(line, soft_wrap=True)
        assert isinstance(console.file, io.StringIO)
        return "".join(f"{line.rstrip()}\n" for line in console.file.getvalue().split("\n")[:-1])

    def wrapped(self, text: Text, indent: int, hanging: int = 0) -> list[Text]:
        """`text` as lines that are indented by `indent` columns, all but the first by `hanging` more, and fit the
        terminal's width.
        """
        from rich.text import Text

        lines = [text]
        if self.width is not None:
            lines = list(text.divide(_breaks(text.plain, max(self.width - indent - hanging, 20))))
        for line in lines:
            line.rstrip()
        return [
            Text(" " * (indent + (hanging if number else 0))).append_text(line) for number, line in enumerate(lines)
        ]

    def code(self, source: str, language: str) -> list[Text]:
        """`source` line by line, coloured where there are colours."""
        from rich.text import Text

        if self.colours is None:
            return [Text(line) for line in source.split("\n")]
        from rich.syntax import Syntax

        highlighted = Syntax("", language, theme="ansi_dark").highlight(source)
        highlighted.rstrip()
        return list(highlighted.split("\n", allow_blank=True))


def encodable(text: str, stream: IO[str] | None) -> str:
    """`text` with an escape for every character that the encoding of `stream` lacks; of a file that is UTF-8."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _breaks(text: str, room: int) -> list[int]:
    """Where lines of at most `room` columns begin. A word is never broken, however long: it may be a path."""
    from rich.cells import cell_len

    breaks = []
    used = 0
    for word in re.finditer(r"\S+\s*", text):
        if used and used + cell_len(word.group().rstrip()) > room:
            breaks.append(word.start())
            used = 0
        used += cell_len(word.group())
    return breaks
