"""Revisions that do not run are loaded once in a process; those that run are loaded as a command of their own would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reviewer.host.files import read_stamped
from tests.command import revision
from tests.runner.conftest import Project

LOADED = """
with open({log!r}, "a") as file:
    file.write({name!r} + " ")
saved = []
"""
SAVES = """
op.execute("CREATE TABLE kept (id int)")
saved.append(1)
"""
RESTORES = """
op.execute("INSERT INTO items DEFAULT VALUES") if saved else op.execute("SELECT 1 / 0")
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "loaded"


@pytest.fixture
def chain(make: Callable[..., Project], log: Path) -> Project:
    """Three revisions, each of which writes its name when its file is loaded."""
    down, texts = "a", []
    for name in ("b", "c", "d"):
        top = LOADED.format(log=str(log), name=name)
        texts.append(revision(name, down, f'op.execute("CREATE TABLE {name} (id int)")', top=top))
        down = name
    return make(*texts)


def _loaded(log: Path) -> list[str]:
    found = sorted(log.read_text(encoding="utf-8").split())
    log.write_text("", encoding="utf-8")
    return found


def test_a_step_loads_the_revision_that_it_runs_and_no_other_that_is_known(chain: Project, log: Path) -> None:
    assert chain.run(do="step", revision="b", direction="upgrade").failure is None
    assert _loaded(log) == ["b", "c", "d"]

    for name in ("b", "c", "d"):
        assert chain.run(do="step", revision=name, direction="upgrade").failure is None
        assert _loaded(log) == [name]


def test_revisions_that_run_one_after_the_other_are_all_loaded(chain: Project, log: Path) -> None:
    chain.run(do="step", revision="b", direction="upgrade")
    _loaded(log)

    assert chain.run(do="step", revision="b", then=["c"], direction="upgrade").failure is None

    assert _loaded(log) == ["b", "c"]


def test_a_whole_upgrade_loads_every_revision(chain: Project, log: Path) -> None:
    chain.run(do="step", revision="b", direction="upgrade")
    _loaded(log)

    assert chain.run(do="upgrade", to=["d"]).failure is None

    assert _loaded(log) == ["b", "c", "d"]


def test_a_file_that_has_changed_is_loaded_again(chain: Project, log: Path) -> None:
    chain.run(do="step", revision="b", direction="upgrade")
    _loaded(log)
    (file,) = (each for each in chain.folder.glob("migrations/versions/*.py") if "'d'" in each.read_text())
    file.write_text(file.read_text() + "\n# changed\n")

    assert chain.run(do="step", revision="c", direction="upgrade").failure is None

    assert _loaded(log) == ["c", "d"]


def test_a_downgrade_gets_nothing_of_what_the_upgrade_has_left_in_the_module(make: Callable[..., Project]) -> None:
    project = make(revision("b", "a", SAVES, RESTORES, top="saved = []"))
    assert project.run(do="step", revision="b", direction="upgrade").failure is None

    failure = project.run(do="step", revision="b", direction="downgrade").failure

    assert failure is not None
    assert "division by zero" in failure.message


def test_a_revision_that_is_new_in_its_folder_is_seen(chain: Project) -> None:
    chain.run(do="step", revision="b", direction="upgrade")
    (file,) = (each for each in chain.folder.glob("migrations/versions/*.py") if "'d'" in each.read_text())
    file.with_name("later.py").write_text(revision("e", "d", 'op.execute("CREATE TABLE e (id int)")'))

    assert chain.run(do="step", revision="e", direction="upgrade").failure is None


def test_a_revision_that_has_gone_from_its_folder_is_missed(chain: Project) -> None:
    chain.run(do="step", revision="b", direction="upgrade")
    (file,) = (each for each in chain.folder.glob("migrations/versions/*.py") if "'d'" in each.read_text())
    file.unlink()

    assert chain.run(do="step", revision="c", direction="upgrade").failure is None
    assert chain.run(do="step", revision="d", direction="upgrade").failure is not None


def test_an_upgrade_loads_those_that_it_runs_and_no_other_that_is_known(chain: Project, log: Path) -> None:
    assert chain.run(do="upgrade", to=["c"]).failure is None
    assert _loaded(log) == ["b", "c", "d"]

    assert chain.run(do="upgrade", to=["c"]).failure is None

    assert _loaded(log) == ["b", "c"]


def test_an_upgrade_gets_nothing_of_what_another_has_left_in_the_module(make: Callable[..., Project]) -> None:
    project = make(
        revision("b", "a", 'saved.append(1)\nassert len(saved) == 1\nop.execute("SELECT 1")', top="saved = []")
    )

    for _ in range(2):
        assert project.run(do="upgrade", to=["b"]).failure is None


def test_a_downgrade_gets_nothing_of_the_upgrade_where_env_py_looks_at_the_revisions_itself(
    make: Callable[..., Project],
) -> None:
    project = make(revision("b", "a", SAVES, RESTORES, top="saved = []"))
    env = project.folder / "migrations" / "env.py"
    looks = "from alembic.script import ScriptDirectory\nScriptDirectory.from_config(context.config).get_heads()\n"
    env.write_text("from alembic import context\n" + looks + env.read_text())
    assert project.run(do="step", revision="b", direction="upgrade").failure is None

    failure = project.run(do="step", revision="b", direction="downgrade").failure

    assert failure is not None
    assert "division by zero" in failure.message


def settled(project: Project, **downs: str) -> list[list[object]]:
    """What the reviewer says of revisions of a kept history, by their names and what they revise."""
    files = {each.read_text(): each for each in project.folder.glob("migrations/versions/*.py")}
    found = {
        name: file for text, file in files.items() for name in downs if f"\nrevision = '{name}'" in f"\n{text}"
    }
    return [[list(read_stamped(found[name])[1]), name, [down], [], []] for name, down in downs.items()]


def test_what_a_kept_history_has_loaded_is_loaded_only_where_it_runs(chain: Project, log: Path) -> None:
    told = settled(chain, b="a", c="b", d="c")

    assert chain.run(do="step", revision="b", direction="upgrade", settled=told).failure is None
    assert _loaded(log) == ["b"]
    assert chain.run(do="step", revision="c", then=["d"], direction="upgrade").failure is None
    assert _loaded(log) == ["c", "d"]
    assert chain.run(do="upgrade", to=["c"]).failure is None
    assert _loaded(log) == ["b", "c"]


def test_a_file_that_is_not_what_a_kept_history_has_loaded_is_loaded(chain: Project, log: Path) -> None:
    told = settled(chain, b="a", c="b", d="c")
    (file,) = (each for each in chain.folder.glob("migrations/versions/*.py") if "'d'" in each.read_text())
    file.write_text(file.read_text() + "\n# changed\n")

    assert chain.run(do="step", revision="b", direction="upgrade", settled=told).failure is None

    assert _loaded(log) == ["b", "d"]


def run_with(project: Project, looks: str) -> None:
    """Upgrade to c, with b settled; env.py looks around first."""
    env = project.folder / "migrations" / "env.py"
    imports = "from alembic import context\nfrom alembic.script import ScriptDirectory\n"
    env.write_text(imports + looks + env.read_text())

    ran = project.run(do="step", revision="c", direction="upgrade", settled=settled(project, b="a"))

    assert ran.failure is None


def test_env_py_finds_in_a_revision_that_was_not_loaded_what_is_in_its_file(make: Callable[..., Project]) -> None:
    project = make(
        revision("b", "a", 'op.execute("SELECT 1")', top='OWNER = "team"'),
        revision("c", "b", 'op.execute("SELECT 2")'),
    )

    run_with(
        project,
        "b = ScriptDirectory.from_config(context.config).get_revision('b')\n"
        "assert (b.module.OWNER, b.doc, b.down_revision) == ('team', 'b', 'a'), b.doc\n"
        "assert not hasattr(b.module, 'OTHER')\n",
    )


def test_revisions_that_were_not_loaded_are_where_alembic_finds_them(make: Callable[..., Project]) -> None:
    project = make(revision("b", "a", 'op.execute("SELECT 1")'), revision("c", "b", 'op.execute("SELECT 2")'))
    versions = project.folder / "migrations" / "versions"
    versions.rename(project.folder / "elsewhere")
    versions.symlink_to(project.folder / "elsewhere")

    run_with(
        project,
        "own = ScriptDirectory.from_config(context.config)\n"
        "lent, own = ([(s.revision, s.path, s.nextrev) for s in d.walk_revisions()] for d in (context.script, own))\n"
        "assert len(own) > 2 and lent == own, (lent, own)\n",
    )
