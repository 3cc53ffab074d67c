"""PostgreSQL's SQL, read with a dialect of ours on sqlglot's. Entered through `reviewer.sql.parse`, which imports it late.

The way of a text: `literals` and `statements` cut it into statements, `tokenizer` makes sqlglot's tokens of each, and
`dialect.Parser` reads them, once: definitions and commands with readers of our own on sqlglot's parsing helpers
(`create`, `alter`, `commands`, …), queries and changes of rows with sqlglot's own grammar (`trees`).
"""

from reviewer.sql import uncompiled

uncompiled.install()
