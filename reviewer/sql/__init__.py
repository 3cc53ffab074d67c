"""PostgreSQL's SQL, read with our own dialect, based on sqlglot's. Entered through `reviewer.sql.parse`, which imports
it late.

How a text is processed: `literals` and `statements` split it into statements, `tokenizer` makes sqlglot's tokens of
each, and `dialect.Parser` parses them once: definitions and commands with our own readers on sqlglot's parsing
helpers (`create`, `alter`, `commands`, …), queries and changes of rows with sqlglot's own grammar (`trees`).
"""

from reviewer.sql import uncompiled

uncompiled.install()
