"""Pairs of revisions that look nearly the same, of which one does harm and the other does not."""

from __future__ import annotations

from dataclasses import dataclass

_NO_WAY_BACK = "raise NotImplementedError"

Upgrade = str | list[tuple[str, str]]
"""The body of an upgrade, or several revisions, each with its downgrade."""


@dataclass(frozen=True)
class LookAlikes:
    """Two upgrades on what is given, and the rule that tells of the first and not of the second."""

    name: str
    given: str
    harmful: Upgrade
    harmless: Upgrade
    rule: str
    back: tuple[str, str] = (_NO_WAY_BACK, _NO_WAY_BACK)
    """Their downgrades."""
    other: str = ""
    """What is given to the second, where that makes the difference."""
    together: bool = False
    """Whether one transaction runs all revisions."""


ROLE = "DO $$ BEGIN CREATE ROLE twin_reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"

PAIRS = [
    LookAlikes(
        "a sequence set to the number of rows",
        "CREATE TABLE t (id serial PRIMARY KEY, a text); INSERT INTO t (a) SELECT 'x' FROM generate_series(1,60) g; DELETE FROM t WHERE id % 3 > 0",
        r"""op.execute("SELECT setval('t_id_seq', (SELECT count(*) FROM t))")""",
        r"""op.execute("SELECT setval('t_id_seq', (SELECT max(id) FROM t))")""",
        "sequence-behind-rows",
    ),
    LookAlikes(
        "a timeout outside a transaction",
        "CREATE TABLE t (id int PRIMARY KEY, a text);",
        r"""with op.get_context().autocommit_block():
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute('ALTER TABLE t ADD COLUMN b int')""",
        r"""op.execute("SET LOCAL lock_timeout = '2s'")
op.execute('ALTER TABLE t ADD COLUMN b int')""",
        "endless-lock-wait",
    ),
    LookAlikes(
        "a search path without the version table",
        "CREATE TABLE t (id int PRIMARY KEY, a text);CREATE SCHEMA audit",
        r"""op.execute('SET search_path = audit')
op.create_table('log', sa.Column('id', sa.BigInteger, sa.Identity(), primary_key=True))""",
        r"""op.execute('SET LOCAL search_path = audit, public')
op.create_table('log', sa.Column('id', sa.BigInteger, sa.Identity(), primary_key=True))""",
        "failing-upgrade",
    ),
    LookAlikes(
        "the driver's own cursor",
        "CREATE TABLE t (id int PRIMARY KEY, a text);INSERT INTO t SELECT generate_series(1,20),'x'",
        r"""cur = op.get_bind().connection.cursor()
cur.execute('ALTER TABLE t ALTER id TYPE bigint')
cur.close()""",
        r"""cur = op.get_bind().connection.cursor()
cur.execute('CREATE TABLE n (id bigint PRIMARY KEY)')
cur.execute('INSERT INTO n VALUES (1)')
cur.close()""",
        "blocking-statement",
    ),
    LookAlikes(
        "shift positions",
        "CREATE TABLE t (id int PRIMARY KEY, list int NOT NULL, pos int NOT NULL, CONSTRAINT u UNIQUE (list, pos)); INSERT INTO t SELECT g, 1, g FROM generate_series(1,20) g",
        "op.execute('UPDATE t SET pos = pos + 1 WHERE list > 0')",
        "op.execute('UPDATE t SET pos = pos + 1 WHERE list > 0')",
        "failing-upgrade",
        other="CREATE TABLE t (id int PRIMARY KEY, list int NOT NULL, pos int NOT NULL, CONSTRAINT u UNIQUE (list, pos) DEFERRABLE); INSERT INTO t SELECT g, 1, g FROM generate_series(1,20) g",
    ),
    LookAlikes(
        "text to boolean",
        "CREATE TABLE t (id int PRIMARY KEY, a text CHECK (a IN ('active','inactive')))",
        "op.execute('ALTER TABLE t DROP CONSTRAINT t_a_check, ALTER a TYPE boolean USING a::boolean')",
        "op.execute('ALTER TABLE t DROP CONSTRAINT t_a_check, ALTER a TYPE boolean USING a::boolean')",
        "narrowing-type-change",
        other="CREATE TABLE t (id int PRIMARY KEY, a text CHECK (a IN ('yes','no')))",
    ),
    LookAlikes(
        "list in a text",
        "CREATE TABLE t (id int PRIMARY KEY, tags text)",
        r"""op.execute("ALTER TABLE t ALTER tags TYPE text[] USING string_to_array(tags, ',')")""",
        r"""op.execute("ALTER TABLE t ALTER tags TYPE text[] USING string_to_array(tags, ',')")""",
        "lossy-round-trip",
        back=(
            "op.execute('ALTER TABLE t ALTER tags TYPE text USING tags[1]')",
            r"""op.execute("ALTER TABLE t ALTER tags TYPE text USING array_to_string(tags, ',')")""",
        ),
    ),
    LookAlikes(
        "jsonb_set with a missing key",
        r"""CREATE TABLE t (id int PRIMARY KEY, payload jsonb); INSERT INTO t SELECT g, CASE WHEN g % 2 = 0 THEN '{"old": 1, "z": 2}'::jsonb ELSE '{"z": 5}' END FROM generate_series(1,20) g""",
        r"""op.execute("UPDATE t SET payload = jsonb_set(payload, '{new}', payload->'old') WHERE id > 0")""",
        r"""op.execute("UPDATE t SET payload = jsonb_set(payload, '{new}', payload->'old') WHERE payload ? 'old'")""",
        "lossy-round-trip",
        back=(
            r"""op.execute("UPDATE t SET payload = payload - 'new' WHERE payload ? 'new'")""",
            r"""op.execute("UPDATE t SET payload = payload - 'new' WHERE payload ? 'new'")""",
        ),
    ),
    LookAlikes(
        "jsonb_set with a missing key, generated rows",
        "CREATE TABLE t (id int PRIMARY KEY, payload jsonb NOT NULL)",
        r"""op.execute("UPDATE t SET payload = jsonb_set(payload, '{new}', payload->'old')")""",
        r"""op.execute("UPDATE t SET payload = jsonb_set(payload, '{new}', payload->'old') WHERE payload ? 'old'")""",
        "failing-upgrade",
        back=(
            r"""op.execute("UPDATE t SET payload = payload - 'new' WHERE payload ? 'new'")""",
            r"""op.execute("UPDATE t SET payload = payload - 'new' WHERE payload ? 'new'")""",
        ),
    ),
    LookAlikes(
        "concatenated names",
        "CREATE TABLE t (id int PRIMARY KEY, first text NOT NULL, last text)",
        r"""op.execute('ALTER TABLE t ADD full_name text')
op.execute("UPDATE t SET full_name = first || ' ' || last")
op.execute('ALTER TABLE t ALTER full_name SET NOT NULL')""",
        r"""op.execute('ALTER TABLE t ADD full_name text')
op.execute("UPDATE t SET full_name = concat_ws(' ', first, last)")
op.execute('ALTER TABLE t ALTER full_name SET NOT NULL')""",
        "fails-on-legal-rows",
    ),
    LookAlikes(
        "force row security",
        "CREATE TABLE t (id int PRIMARY KEY, tenant text NOT NULL);INSERT INTO t SELECT g,'x' FROM generate_series(1,20) g; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (tenant = current_setting('app.tenant', true))",
        "op.execute('ALTER TABLE t FORCE ROW LEVEL SECURITY')",
        "op.execute('ALTER TABLE t NO FORCE ROW LEVEL SECURITY')",
        "refused-after-upgrade",
    ),
    LookAlikes(
        "security invoker",
        ROLE
        + "CREATE TABLE t (id int PRIMARY KEY, a text);CREATE VIEW v AS SELECT id, a FROM t; GRANT SELECT ON v TO twin_reader",
        "op.execute('ALTER VIEW v SET (security_invoker = true)')",
        r"""op.execute('GRANT SELECT ON t TO twin_reader')
op.execute('ALTER VIEW v SET (security_invoker = true)')""",
        "lost-privileges",
    ),
    LookAlikes(
        "security definer",
        ROLE
        + "CREATE TABLE t (id int PRIMARY KEY, a text);CREATE FUNCTION f() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.t'; GRANT EXECUTE ON FUNCTION f() TO twin_reader",
        r"""op.execute("CREATE OR REPLACE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.t'")""",
        r"""op.execute("CREATE OR REPLACE FUNCTION f() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(id) FROM public.t'")""",
        "lost-privileges",
    ),
    LookAlikes(
        "function search path",
        "CREATE TABLE t (id int PRIMARY KEY, a text);CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log(x) VALUES (NEW.id); RETURN NEW; END $$; CREATE TABLE log (x int); CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
        r"""op.execute("ALTER FUNCTION f() SET search_path = ''")""",
        "op.execute('ALTER FUNCTION f() SET search_path = public')",
        "stale-function",
    ),
    LookAlikes(
        "privileges on a schema",
        ROLE + "CREATE TABLE t (id int PRIMARY KEY, a text);GRANT SELECT ON t TO twin_reader",
        "op.execute('REVOKE ALL ON SCHEMA public FROM PUBLIC')",
        "op.execute('REVOKE CREATE ON SCHEMA public FROM PUBLIC')",
        "lost-privileges",
    ),
    LookAlikes(
        "replica identity nothing",
        "CREATE TABLE t (id int PRIMARY KEY, a text);INSERT INTO t VALUES (1,'x'); CREATE PUBLICATION pub FOR TABLE t",
        "op.execute('ALTER TABLE t REPLICA IDENTITY NOTHING')",
        "op.execute('ALTER TABLE t REPLICA IDENTITY FULL')",
        "refused-after-upgrade",
    ),
    LookAlikes(
        "domain not null",
        "CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%'); CREATE TABLE t (id int PRIMARY KEY, e email); INSERT INTO t SELECT g, 'a@b' FROM generate_series(1,20) g",
        "op.execute('ALTER DOMAIN email SET NOT NULL')",
        "op.execute('ALTER DOMAIN email DROP NOT NULL')",
        "refused-after-upgrade",
    ),
    LookAlikes(
        "a view's INSTEAD OF trigger",
        "CREATE TABLE t (id int PRIMARY KEY, a text);CREATE VIEW v AS SELECT DISTINCT id, a FROM t; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (NEW.id, NEW.a); RETURN NEW; END $$; CREATE TRIGGER tr INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION f()",
        r"""op.execute('DROP VIEW v')
op.execute('CREATE VIEW v AS SELECT DISTINCT id, a, 1 AS b FROM t')""",
        "op.execute('CREATE OR REPLACE VIEW v AS SELECT DISTINCT id, a, 1 AS b FROM t')",
        "refused-after-upgrade",
    ),
    LookAlikes(
        "a batch that makes the table anew",
        "CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE c (id int PRIMARY KEY, t_id int REFERENCES t); INSERT INTO t VALUES (1,'x'); INSERT INTO c VALUES (1,1)",
        r"""with op.batch_alter_table('t', recreate='always') as b:
    b.add_column(sa.Column('n', sa.Integer()))""",
        r"""with op.batch_alter_table('t') as b:
    b.add_column(sa.Column('n', sa.Integer()))""",
        "failing-upgrade",
    ),
    LookAlikes(
        "create table if not exists",
        "CREATE TABLE t (id int PRIMARY KEY, a text)",
        "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True), sa.Column('b', sa.Integer), if_not_exists=True)",
        "op.create_table('t2', sa.Column('id', sa.Integer, primary_key=True), sa.Column('b', sa.Integer), if_not_exists=True)",
        "masking-if-exists",
    ),
    LookAlikes(
        "a comment that swallows the WHERE",
        "CREATE TABLE t (id int PRIMARY KEY, a int, active bool);",
        r"""op.execute('UPDATE t SET a = 1 -- only the active ones '
    'WHERE active')""",
        r"""op.execute('UPDATE t SET a = 1 -- only the active ones\n'
    'WHERE id = 5')""",
        "unfiltered-change",
    ),
    LookAlikes(
        "NOT IN with NULL",
        "CREATE TABLE p (id int PRIMARY KEY, ref text UNIQUE); CREATE TABLE c (id int PRIMARY KEY, ref text)",
        r"""op.execute('DELETE FROM c WHERE ref NOT IN (SELECT ref FROM p)')
op.execute('ALTER TABLE c ADD CONSTRAINT fk FOREIGN KEY (ref) REFERENCES p (ref)')""",
        r"""op.execute('DELETE FROM c WHERE NOT EXISTS (SELECT FROM p WHERE p.ref = c.ref)')
op.execute('ALTER TABLE c ADD CONSTRAINT fk FOREIGN KEY (ref) REFERENCES p (ref)')""",
        "fails-on-legal-rows",
    ),
    LookAlikes(
        "duplicates in another case",
        "CREATE TABLE t (id int PRIMARY KEY, email text NOT NULL);",
        r"""op.execute('DELETE FROM t a USING t b WHERE a.id < b.id AND a.email = b.email')
op.execute('CREATE UNIQUE INDEX ux ON t (lower(email))')""",
        r"""op.execute('DELETE FROM t a USING t b WHERE a.id < b.id AND lower(a.email) = lower(b.email)')
op.execute('CREATE UNIQUE INDEX ux ON t (lower(email))')""",
        "fails-on-legal-rows",
    ),
    LookAlikes(
        "backfill by join",
        "CREATE TABLE c (id int PRIMARY KEY, name text NOT NULL); CREATE TABLE t (id int PRIMARY KEY, c_id int REFERENCES c)",
        r"""op.execute('ALTER TABLE t ADD c_name text')
op.execute('UPDATE t SET c_name = c.name FROM c WHERE c.id = t.c_id')
op.execute('ALTER TABLE t ALTER c_name SET NOT NULL')""",
        r"""op.execute('ALTER TABLE t ADD c_name text')
op.execute('UPDATE t SET c_name = c.name FROM c WHERE c.id = t.c_id')
op.execute('ALTER TABLE t ALTER c_name SET NOT NULL')""",
        "fails-on-legal-rows",
        other="CREATE TABLE c (id int PRIMARY KEY, name text NOT NULL); CREATE TABLE t (id int PRIMARY KEY, c_id int NOT NULL REFERENCES c)",
    ),
    LookAlikes(
        "cents",
        "CREATE TABLE t (id int PRIMARY KEY, price numeric(10,2));",
        "op.execute('ALTER TABLE t ALTER price TYPE integer USING (price * 100)::integer')",
        "op.execute('ALTER TABLE t ALTER price TYPE bigint USING (price * 100)::bigint')",
        "narrowing-type-change",
    ),
    LookAlikes(
        "int to bool",
        "CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL);",
        "op.execute('ALTER TABLE t ALTER a TYPE boolean USING a::boolean')",
        "op.execute('ALTER TABLE t DROP CONSTRAINT t_a_check, ALTER a TYPE boolean USING a::boolean')",
        "lossy-round-trip",
        back=(
            "op.execute('ALTER TABLE t ALTER a TYPE int USING a::int')",
            "op.execute('ALTER TABLE t ALTER a TYPE int USING a::int, ADD CONSTRAINT t_a_check CHECK (a IN (0,1))')",
        ),
        other="CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL CHECK (a IN (0,1)));",
    ),
    LookAlikes(
        "timestamp precision",
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz);",
        "op.execute('ALTER TABLE t ALTER at TYPE timestamptz(0)')",
        "op.execute('ALTER TABLE t ALTER at TYPE timestamptz(6)')",
        "narrowing-type-change",
    ),
    LookAlikes(
        "number to float",
        "CREATE TABLE t (id int PRIMARY KEY, a numeric(20,6), b integer);",
        "op.execute('ALTER TABLE t ALTER a TYPE double precision')",
        "op.execute('ALTER TABLE t ALTER b TYPE double precision')",
        "narrowing-type-change",
        back=(
            "op.execute('ALTER TABLE t ALTER a TYPE numeric(20,6)')",
            "op.execute('ALTER TABLE t ALTER b TYPE integer')",
        ),
    ),
    LookAlikes(
        "a CASE without ELSE in a type change",
        "CREATE TABLE t (id int PRIMARY KEY, status text NOT NULL DEFAULT 'a');",
        r"""op.execute("CREATE TYPE st AS ENUM ('x','y')")
op.execute("ALTER TABLE t ALTER status DROP DEFAULT, ALTER status DROP NOT NULL, ALTER status TYPE st USING (CASE status WHEN 'a' THEN 'x' WHEN 'b' THEN 'y' END)::st")""",
        r"""op.execute("CREATE TYPE st AS ENUM ('x','y')")
op.execute("ALTER TABLE t DROP CONSTRAINT ck, ALTER status DROP DEFAULT, ALTER status TYPE st USING (CASE status WHEN 'a' THEN 'x' WHEN 'b' THEN 'y' END)::st")""",
        "narrowing-type-change",
        other="CREATE TABLE t (id int PRIMARY KEY, status text NOT NULL DEFAULT 'a', CONSTRAINT ck CHECK (status IN ('a','b')));",
    ),
    LookAlikes(
        "a CASE without ELSE",
        "CREATE TABLE t (id int PRIMARY KEY, status text);",
        r"""op.execute("UPDATE t SET status = CASE status WHEN 'new' THEN 'open' WHEN 'old' THEN 'closed' END")""",
        r"""op.execute("UPDATE t SET status = CASE status WHEN 'new' THEN 'open' WHEN 'old' THEN 'closed' ELSE status END")""",
        "unreversed-data-change",
    ),
    LookAlikes(
        "a CASE without ELSE, both ways",
        "CREATE TABLE t (id int PRIMARY KEY, status text);",
        r"""op.execute("UPDATE t SET status = CASE status WHEN 'new' THEN 'open' WHEN 'old' THEN 'closed' END")""",
        r"""op.execute("UPDATE t SET status = CASE status WHEN 'new' THEN 'open' WHEN 'old' THEN 'closed' ELSE status END")""",
        "lossy-round-trip",
        back=(
            r"""op.execute("UPDATE t SET status = CASE status WHEN 'open' THEN 'new' WHEN 'closed' THEN 'old' END")""",
            r"""op.execute("UPDATE t SET status = CASE status WHEN 'open' THEN 'new' WHEN 'closed' THEN 'old' ELSE status END")""",
        ),
    ),
    LookAlikes(
        "match full",
        "CREATE TABLE p (a int, b int, PRIMARY KEY (a,b)); CREATE TABLE t (id int PRIMARY KEY, a int, b int, CONSTRAINT fk FOREIGN KEY (a,b) REFERENCES p)",
        "op.execute('ALTER TABLE t DROP CONSTRAINT fk, ADD CONSTRAINT fk FOREIGN KEY (a,b) REFERENCES p MATCH FULL')",
        "op.execute('ALTER TABLE t DROP CONSTRAINT fk, ADD CONSTRAINT fk FOREIGN KEY (a,b) REFERENCES p ON UPDATE CASCADE')",
        "fails-on-legal-rows",
    ),
    LookAlikes(
        "include",
        "CREATE TABLE t (id int PRIMARY KEY, a int, b int, c int, CONSTRAINT u UNIQUE (a,b))",
        r"""op.execute('CREATE UNIQUE INDEX u2 ON t (a) INCLUDE (b)')
op.execute('ALTER TABLE t DROP CONSTRAINT u')""",
        r"""op.execute('CREATE UNIQUE INDEX u2 ON t (a,b) INCLUDE (c)')
op.execute('ALTER TABLE t DROP CONSTRAINT u')""",
        "fails-on-legal-rows",
    ),
    LookAlikes(
        "a sequence for a key with rows",
        "CREATE TABLE t (id int PRIMARY KEY, a text);INSERT INTO t (id) SELECT generate_series(1,20);",
        r"""op.execute('CREATE SEQUENCE s OWNED BY t.id')
op.execute("ALTER TABLE t ALTER id SET DEFAULT nextval('s')")""",
        r"""op.execute('CREATE SEQUENCE s OWNED BY t.id')
op.execute("SELECT setval('s', (SELECT coalesce(max(id), 1) FROM t))")
op.execute("ALTER TABLE t ALTER id SET DEFAULT nextval('s')")""",
        "sequence-behind-rows",
    ),
    LookAlikes(
        "set role",
        "CREATE TABLE t (id int PRIMARY KEY, a text);",
        r"""op.execute('SET ROLE pg_read_all_data')
op.execute('SELECT count(*) FROM t')""",
        r"""op.execute('SET ROLE NONE')
op.execute('SELECT count(*) FROM t')""",
        "failing-upgrade",
    ),
    LookAlikes(
        "a function whose body is not checked",
        "CREATE TABLE t (id int PRIMARY KEY, a int);CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql AS 'SELECT x + 1'; CREATE VIEW v AS SELECT f(a) AS a FROM t;",
        r"""op.execute('SET LOCAL check_function_bodies = off')
op.execute("CREATE OR REPLACE FUNCTION f(x int) RETURNS int LANGUAGE sql AS 'SELECT x + n FROM later'")""",
        r"""op.execute('SET LOCAL check_function_bodies = off')
op.execute("CREATE OR REPLACE FUNCTION f(x int) RETURNS int LANGUAGE sql AS 'SELECT x + n FROM later'")
op.execute('CREATE TABLE later (n int)')
op.execute('INSERT INTO later VALUES (1)')""",
        "stale-function",
    ),
    LookAlikes(
        "a trigger that calls itself",
        "CREATE TABLE t (id int PRIMARY KEY, n int DEFAULT 0);",
        r"""op.execute('CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET n = n + 1 WHERE id = NEW.id; RETURN NULL; END $$')
op.execute('CREATE TRIGGER tr AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()')""",
        r"""op.execute('CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET n = n + 1 WHERE id = NEW.id; RETURN NULL; END $$')
op.execute('CREATE TRIGGER tr AFTER UPDATE ON t FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION f()')""",
        "stale-function",
    ),
    LookAlikes(
        "a trigger at the commit",
        "CREATE TABLE t (id int PRIMARY KEY, a text);CREATE TABLE l (t_id int REFERENCES t, n int)",
        r"""op.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NOT EXISTS (SELECT FROM l WHERE t_id = NEW.id) THEN RAISE EXCEPTION 'no line'; END IF; RETURN NULL; END $$")
op.execute('CREATE CONSTRAINT TRIGGER tr AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f()')""",
        r"""op.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id IS NULL THEN RAISE EXCEPTION 'no line'; END IF; RETURN NULL; END $$")
op.execute('CREATE CONSTRAINT TRIGGER tr AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f()')""",
        "refused-after-upgrade",
    ),
    LookAlikes(
        "a sequence without a privilege",
        ROLE + "CREATE TABLE t (id int PRIMARY KEY, a text);GRANT SELECT, INSERT ON t TO twin_reader",
        r"""op.create_table('n', sa.Column('id', sa.Integer, primary_key=True), sa.Column('a', sa.Text))
op.execute('GRANT SELECT, INSERT ON n TO twin_reader')""",
        r"""op.create_table('n', sa.Column('id', sa.Integer, sa.Identity(), primary_key=True), sa.Column('a', sa.Text))
op.execute('GRANT SELECT, INSERT ON n TO twin_reader')""",
        "lost-privileges",
    ),
    LookAlikes(
        "a default that needs a privilege",
        ROLE
        + "CREATE TABLE t (id int PRIMARY KEY, a text, n int);CREATE SEQUENCE s; GRANT SELECT, INSERT ON t TO twin_reader",
        r"""op.execute("ALTER TABLE t ALTER n SET DEFAULT nextval('s')")""",
        r"""op.execute('GRANT USAGE ON SEQUENCE s TO twin_reader')
op.execute("ALTER TABLE t ALTER n SET DEFAULT nextval('s')")""",
        "lost-privileges",
    ),
    LookAlikes(
        "a view in a table's place, not for all",
        ROLE + "CREATE TABLE t (id int PRIMARY KEY, a text);GRANT SELECT, INSERT ON t TO twin_reader",
        r"""op.rename_table('t', 'n')
op.execute('CREATE VIEW t AS SELECT * FROM n')""",
        r"""op.rename_table('t', 'n')
op.execute('CREATE VIEW t AS SELECT * FROM n')
op.execute('GRANT SELECT, INSERT ON t TO twin_reader')""",
        "lost-privileges",
    ),
    LookAlikes(
        "a computed column under the old name",
        "CREATE TABLE t (id int PRIMARY KEY, a text);",
        r"""op.execute('ALTER TABLE t RENAME a TO b')
op.execute('ALTER TABLE t ADD a text GENERATED ALWAYS AS (b) VIRTUAL')""",
        "op.execute('ALTER TABLE t ADD b text GENERATED ALWAYS AS (a) VIRTUAL')",
        "renamed-column",
    ),
    LookAlikes(
        "a table that nobody may read",
        ROLE
        + "CREATE TABLE t (id int PRIMARY KEY, a text);GRANT SELECT, INSERT, UPDATE, DELETE ON t TO twin_reader;CREATE TABLE t1 (id int PRIMARY KEY, a text);GRANT SELECT, INSERT, UPDATE, DELETE ON t1 TO twin_reader;",
        r"""op.execute('CREATE TABLE n AS TABLE t WITH NO DATA')
op.execute('DROP TABLE t')
op.execute('ALTER TABLE n RENAME TO t')""",
        r"""op.execute('CREATE TABLE n (id int PRIMARY KEY)')
op.execute('GRANT ALL ON n TO twin_reader')""",
        "lost-privileges",
    ),
    LookAlikes(
        "a computed column under the old name too",
        "CREATE TABLE t (id int PRIMARY KEY, a text);",
        r"""op.execute('ALTER TABLE t RENAME a TO b')
op.execute('ALTER TABLE t ADD a text GENERATED ALWAYS AS (b) VIRTUAL')""",
        "op.execute('ALTER TABLE t ADD b text GENERATED ALWAYS AS (a) VIRTUAL')",
        "renamed-column",
    ),
    LookAlikes(
        "foreign key to a column with ON UPDATE",
        "CREATE TABLE p (id int PRIMARY KEY, code text NOT NULL UNIQUE); CREATE TABLE t (id int PRIMARY KEY, code text REFERENCES p (code) ON UPDATE CASCADE); INSERT INTO p SELECT g, 'c'||g FROM generate_series(1,20) g; INSERT INTO t SELECT g, 'c'||g FROM generate_series(1,20) g",
        "op.execute('ALTER TABLE t DROP CONSTRAINT t_code_fkey, ADD CONSTRAINT t_code_fkey FOREIGN KEY (code) REFERENCES p (code) NOT VALID')",
        "op.execute('ALTER TABLE t DROP CONSTRAINT t_code_fkey, ADD CONSTRAINT t_code_fkey FOREIGN KEY (code) REFERENCES p (code) ON UPDATE CASCADE NOT VALID')",
        "refused-after-upgrade",
    ),
    LookAlikes(
        "a column's privileges",
        ROLE
        + "CREATE TABLE t (id int PRIMARY KEY, a text, b text);GRANT SELECT (id, a), INSERT (id, a) ON t TO twin_reader",
        r"""op.execute('ALTER TABLE t ADD a2 varchar(20)')
op.execute('UPDATE t SET a2 = left(a, 20) WHERE id < 5')
op.execute('ALTER TABLE t DROP a')
op.execute('ALTER TABLE t RENAME a2 TO a')""",
        r"""op.execute('ALTER TABLE t ADD a2 varchar(20)')
op.execute('GRANT SELECT (a2), INSERT (a2) ON t TO twin_reader')""",
        "lost-privileges",
    ),
    LookAlikes(
        "a loop over one text",
        "CREATE TABLE t (id int PRIMARY KEY, a text);",
        r"""for table in ('t'):
    op.execute(f'ALTER TABLE {table} ADD COLUMN b int')
for table in ('tt'):
    op.execute(f'ALTER TABLE {table} ADD COLUMN b int')""",
        r"""for table in ('t',):
    op.execute(f'ALTER TABLE {table} ADD COLUMN b int')""",
        "failing-upgrade",
    ),
    LookAlikes(
        "a guard that asks for another case",
        "CREATE TABLE users (id int PRIMARY KEY, a text);",
        r"""if not sa.inspect(op.get_bind()).has_table('Users'):
    op.create_table('users', sa.Column('id', sa.Integer, primary_key=True))""",
        r"""if not sa.inspect(op.get_bind()).has_table('users'):
    op.create_table('users', sa.Column('id', sa.Integer, primary_key=True))""",
        "failing-upgrade",
    ),
    LookAlikes(
        "session that commits in its own connection",
        "CREATE TABLE t (id int PRIMARY KEY, a text);",
        r"""op.execute('ALTER TABLE t ADD b int')
from sqlalchemy.orm import Session
engine = op.get_bind().engine
with Session(engine) as s:
    s.execute(sa.text('UPDATE t SET b = 1 WHERE id = 1'))
    s.commit()""",
        r"""op.execute('ALTER TABLE t ADD b int')
from sqlalchemy.orm import Session
with Session(bind=op.get_bind()) as s:
    s.execute(sa.text('UPDATE t SET b = 1 WHERE id = 1'))
    s.commit()""",
        "failing-upgrade",
    ),
    LookAlikes(
        "copy through the driver",
        "CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL);INSERT INTO t SELECT g,'x' FROM generate_series(1,20) g",
        r"""raw = op.get_bind().connection
with raw.cursor() as c:
    c.execute('DELETE FROM t')
    with c.copy('COPY t (id, a) FROM STDIN') as cp:
        cp.write_row((1, 'y'))""",
        r"""op.execute('CREATE TABLE n (id int PRIMARY KEY, a text)')
raw = op.get_bind().connection
with raw.cursor() as c:
    with c.copy('COPY n (id, a) FROM STDIN') as cp:
        cp.write_row((1, 'y'))""",
        "unfiltered-change",
    ),
    LookAlikes(
        "a temporary copy",
        "CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL);CREATE TABLE old (id int PRIMARY KEY, a text);INSERT INTO t SELECT g,'x' FROM generate_series(1,20) g",
        r"""op.execute('CREATE TEMP TABLE gone ON COMMIT DROP AS SELECT id FROM t WHERE id > 10')
op.execute('DELETE FROM t USING gone WHERE gone.id = t.id')""",
        r"""op.execute('CREATE TEMP TABLE gone ON COMMIT DROP AS SELECT id FROM t WHERE id > 10')
op.execute('INSERT INTO old SELECT t.* FROM t JOIN gone USING (id)')
op.execute('DELETE FROM t USING gone WHERE gone.id = t.id')""",
        "unreversed-data-change",
    ),
    LookAlikes(
        "a document's array",
        r"""CREATE TABLE t (id int PRIMARY KEY, doc jsonb NOT NULL DEFAULT '[]');INSERT INTO t (id, doc) SELECT g, '[{"k":1},{"k":2}]' FROM generate_series(1,20) g""",
        r"""op.execute("UPDATE t SET doc = doc->0 WHERE jsonb_typeof(doc) = 'array'")""",
        r"""op.execute("UPDATE t SET doc = jsonb_build_object('items', doc) WHERE jsonb_typeof(doc) = 'array'")""",
        "lossy-round-trip",
        back=(
            r"""op.execute("UPDATE t SET doc = jsonb_build_array(doc) WHERE jsonb_typeof(doc) = 'object'")""",
            r"""op.execute("UPDATE t SET doc = doc->'items' WHERE doc ? 'items'")""",
        ),
    ),
    LookAlikes(
        "an epoch in milliseconds",
        "CREATE TABLE t (id int PRIMARY KEY, at bigint NOT NULL);",
        "op.execute('ALTER TABLE t ALTER at TYPE timestamptz USING to_timestamp(at / 1000)')",
        "op.execute('ALTER TABLE t ALTER at TYPE timestamptz USING to_timestamp(at / 1000.0)')",
        "lossy-round-trip",
        back=(
            "op.execute('ALTER TABLE t ALTER at TYPE bigint USING (extract(epoch FROM at) * 1000)::bigint')",
            "op.execute('ALTER TABLE t ALTER at TYPE bigint USING (extract(epoch FROM at) * 1000)::bigint')",
        ),
    ),
    LookAlikes(
        "texts made lower case",
        "CREATE TABLE t (id int PRIMARY KEY, email text NOT NULL UNIQUE);",
        "op.execute('UPDATE t SET email = lower(email) WHERE email <> lower(email)')",
        "op.execute('UPDATE t SET email = email WHERE email <> lower(email)')",
        "fails-on-legal-rows",
    ),
    LookAlikes(
        "a merge of two columns",
        "CREATE TABLE t (id int PRIMARY KEY, a text, b text);",
        r"""op.execute('UPDATE t SET a = b WHERE b IS NOT NULL')
op.execute('ALTER TABLE t DROP b')""",
        "op.execute('UPDATE t SET a = b WHERE a IS NULL AND b IS NOT NULL')",
        "dropped-column",
    ),
    LookAlikes(
        "identity always for old code",
        "CREATE TABLE t (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, a text)",
        "op.execute('ALTER TABLE t ALTER id SET GENERATED ALWAYS')",
        "op.execute('ALTER TABLE t ALTER id SET CACHE 50')",
        "refused-after-upgrade",
    ),
    LookAlikes(
        "statement trigger that refuses",
        "CREATE TABLE t (id int PRIMARY KEY, a text);INSERT INTO t (id) SELECT generate_series(1,20);",
        r"""op.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'read only'; END $$")
op.execute('CREATE TRIGGER tr BEFORE DELETE ON t FOR EACH STATEMENT EXECUTE FUNCTION f()')""",
        r"""op.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'read only'; END $$")
op.execute('CREATE TRIGGER tr BEFORE TRUNCATE ON t FOR EACH STATEMENT EXECUTE FUNCTION f()')""",
        "refused-after-upgrade",
    ),
    LookAlikes(
        "view renamed column",
        "CREATE TABLE t (id int PRIMARY KEY, a text, b text);CREATE VIEW v AS SELECT id, a FROM t",
        "op.execute('ALTER VIEW v RENAME COLUMN a TO b')",
        "op.execute('CREATE OR REPLACE VIEW v AS SELECT id, a, b FROM t')",
        "renamed-column",
    ),
    LookAlikes(
        "materialized view for a view",
        "CREATE TABLE t (id int PRIMARY KEY, a text);INSERT INTO t (id) SELECT generate_series(1,20);CREATE VIEW v AS SELECT id, a FROM t WHERE id > 3",
        r"""op.execute('DROP VIEW v')
op.execute('CREATE MATERIALIZED VIEW v AS SELECT id, a FROM t WHERE id > 3')""",
        r"""op.execute('DROP VIEW v')
op.execute('CREATE VIEW v AS SELECT id, a FROM t WHERE id >= 4')""",
        "refused-after-upgrade",
    ),
    LookAlikes(
        "partition by list without a default",
        "CREATE TABLE t (id int, k text NOT NULL) PARTITION BY LIST (k); CREATE TABLE t_a PARTITION OF t FOR VALUES IN ('a'); CREATE TABLE t_rest PARTITION OF t DEFAULT; INSERT INTO t SELECT g, 'z' FROM generate_series(1,20) g",
        "op.execute('ALTER TABLE t DETACH PARTITION t_rest')",
        r"""op.execute("ALTER TABLE t_rest ADD CONSTRAINT nk CHECK (k <> 'b') NOT VALID")
op.execute('CREATE TABLE t_b (LIKE t)')""",
        "refused-after-upgrade",
    ),
    LookAlikes(
        "a unique index on a nullable pair",
        "CREATE TABLE t (id int PRIMARY KEY, org int, slug text);INSERT INTO t SELECT g, g % 3, 's'||g FROM generate_series(1,20) g",
        r"""op.execute("ALTER TABLE t ADD COLUMN kind text DEFAULT 'x' NOT NULL")
with op.get_context().autocommit_block():
    op.execute('DROP INDEX CONCURRENTLY IF EXISTS ux')
    op.execute('CREATE UNIQUE INDEX CONCURRENTLY ux ON t (org, kind)')""",
        r"""op.execute('ALTER TABLE t ADD COLUMN kind text')
with op.get_context().autocommit_block():
    op.execute('DROP INDEX CONCURRENTLY IF EXISTS ux')
    op.execute('CREATE UNIQUE INDEX CONCURRENTLY ux ON t (org, kind)')""",
        "failing-upgrade",
    ),
    LookAlikes(
        "VACUUM FULL and FREEZE",
        "CREATE TABLE t (id int PRIMARY KEY, a text);INSERT INTO t (id) SELECT generate_series(1,20);",
        r"""with op.get_context().autocommit_block():
    op.execute('VACUUM (FULL, ANALYZE) t')""",
        r"""with op.get_context().autocommit_block():
    op.execute('VACUUM (FREEZE, ANALYZE) t')""",
        "rewriting-maintenance",
    ),
    LookAlikes(
        "a function under a view",
        "CREATE TABLE t (id int PRIMARY KEY, a text);CREATE FUNCTION total(x int) RETURNS int LANGUAGE sql AS 'SELECT x'; CREATE VIEW v AS SELECT id, total(id) AS n FROM t;",
        r"""op.execute('DROP FUNCTION total(int) CASCADE')
op.execute("CREATE FUNCTION total(x bigint) RETURNS bigint LANGUAGE sql AS 'SELECT x'")""",
        r"""op.execute("CREATE OR REPLACE FUNCTION total(x int) RETURNS int LANGUAGE sql AS 'SELECT x + 0'")""",
        "cascading-drop",
    ),
    LookAlikes(
        "a view in another schema",
        ROLE
        + "CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO twin_reader; CREATE TABLE app.t (id int PRIMARY KEY); GRANT SELECT ON app.t TO twin_reader",
        r"""op.execute('CREATE SCHEMA app2')
op.execute('ALTER TABLE app.t SET SCHEMA app2')
op.execute('CREATE VIEW app.t AS SELECT * FROM app2.t')""",
        r"""op.execute('CREATE SCHEMA app2')
op.execute('ALTER TABLE app.t SET SCHEMA app2')
op.execute('CREATE VIEW app.t AS SELECT * FROM app2.t')
op.execute('GRANT SELECT ON app.t TO twin_reader')""",
        "lost-privileges",
    ),
    LookAlikes(
        "bulk_insert of keys",
        "CREATE TABLE t (id int PRIMARY KEY, name text UNIQUE NOT NULL);",
        r"""t = sa.table('t', sa.column('id', sa.Integer), sa.column('name', sa.Text))
op.bulk_insert(t, [{'id': 900001, 'name': 'x'}, {'id': 900002, 'name': 'x'}])""",
        r"""t = sa.table('t', sa.column('id', sa.Integer), sa.column('name', sa.Text))
op.bulk_insert(t, [{'id': 900001, 'name': 'x'}, {'id': 900002, 'name': 'y'}])""",
        "failing-upgrade",
        back=(
            "op.execute('DELETE FROM t WHERE id IN (900001, 900002)')",
            "op.execute('DELETE FROM t WHERE id IN (900001, 900002)')",
        ),
    ),
    LookAlikes(
        "seed rows that a downgrade deletes too widely",
        "CREATE TABLE t (id int PRIMARY KEY, kind text NOT NULL DEFAULT 'x');",
        r"""op.execute("INSERT INTO t (id, kind) VALUES (900001, 'admin')")""",
        r"""op.execute("INSERT INTO t (id, kind) VALUES (900001, 'admin')")""",
        "lossy-round-trip",
        back=(
            r"""op.execute("DELETE FROM t WHERE kind IN ('admin', 'x')")""",
            "op.execute('DELETE FROM t WHERE id = 900001')",
        ),
    ),
    LookAlikes(
        "Python that meets NULL",
        "CREATE TABLE t (id int PRIMARY KEY, name text);",
        r"""bind = op.get_bind()
for id_, name in bind.execute(sa.text('SELECT id, name FROM t')).fetchall():
    bind.execute(sa.text('UPDATE t SET name = :n WHERE id = :i'), {'n': name.strip(), 'i': id_})""",
        r"""bind = op.get_bind()
for id_, name in bind.execute(sa.text('SELECT id, name FROM t WHERE name IS NOT NULL')).fetchall():
    bind.execute(sa.text('UPDATE t SET name = :n WHERE id = :i'), {'n': name.strip(), 'i': id_})""",
        "fails-on-legal-rows",
    ),
    LookAlikes(
        "Python that splits names",
        "CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, first text, last text);",
        r"""bind = op.get_bind()
for id_, name in bind.execute(sa.text('SELECT id, name FROM t')).fetchall():
    first, last = name.split(' ')
    bind.execute(sa.text('UPDATE t SET first = :f, last = :l WHERE id = :i'), {'f': first, 'l': last, 'i': id_})""",
        r"""bind = op.get_bind()
for id_, name in bind.execute(sa.text('SELECT id, name FROM t')).fetchall():
    first, _, last = name.partition(' ')
    bind.execute(sa.text('UPDATE t SET first = :f, last = :l WHERE id = :i'), {'f': first, 'l': last, 'i': id_})""",
        "fails-on-legal-rows",
    ),
    LookAlikes(
        "a row that must be there",
        "CREATE TABLE t (id int PRIMARY KEY, kind text);",
        r"""bind = op.get_bind()
id_ = bind.execute(sa.text("SELECT id FROM t WHERE kind = 'default-tenant'")).scalar_one()
bind.execute(sa.text('UPDATE t SET kind = :k WHERE id = :i'), {'k': 'main', 'i': id_})""",
        r"""bind = op.get_bind()
id_ = bind.execute(sa.text("SELECT id FROM t WHERE kind = 'default-tenant'")).scalar()
if id_ is not None:
    bind.execute(sa.text('UPDATE t SET kind = :k WHERE id = :i'), {'k': 'main', 'i': id_})""",
        "failing-upgrade",
    ),
    LookAlikes(
        "unique on add_column",
        "CREATE TABLE t (id int PRIMARY KEY, a text);",
        "op.add_column('t', sa.Column('slug', sa.Text, unique=True))",
        "op.add_column('t', sa.Column('slug', sa.Text, index=False))",
        "blocking-unique-constraint",
    ),
    LookAlikes(
        "index=True on add_column",
        "CREATE TABLE t (id int PRIMARY KEY, a text);",
        r"""op.add_column('t', sa.Column('slug', sa.Text))
op.create_index(op.f('ix_t_slug'), 't', ['slug'])""",
        r"""op.add_column('t', sa.Column('slug', sa.Text))
with op.get_context().autocommit_block():
    op.create_index(op.f('ix_t_slug'), 't', ['slug'], postgresql_concurrently=True, if_not_exists=False)""",
        "blocking-index",
    ),
    LookAlikes(
        "downgrade that tightens",
        "CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL);",
        "op.alter_column('t', 'a', nullable=True)",
        "op.alter_column('t', 'a', nullable=True)",
        "failing-downgrade",
        back=(
            "op.alter_column('t', 'a', nullable=False)",
            r"""op.execute("UPDATE t SET a = '' WHERE a IS NULL")
op.alter_column('t', 'a', nullable=False)""",
        ),
    ),
    LookAlikes(
        "downgrade that recreates a dropped table without rows",
        "CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL);INSERT INTO t SELECT g,'x' FROM generate_series(1,20) g",
        "op.drop_table('t')",
        r"""op.rename_table('t', 'zz_t_old')
op.execute('CREATE VIEW t AS SELECT * FROM zz_t_old')""",
        "dropped-table",
        back=(
            "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True), sa.Column('a', sa.Text, nullable=False))",
            r"""op.execute('DROP VIEW t')
op.rename_table('zz_t_old', 't')""",
        ),
    ),
    LookAlikes(
        "enum created by add_column",
        "CREATE TABLE t (id int PRIMARY KEY, a text);",
        "op.add_column('t', sa.Column('st', sa.Enum('a', 'b', name='st_kind')))",
        r"""st = sa.Enum('a', 'b', name='st_kind')
st.create(op.get_bind(), checkfirst=False)
op.add_column('t', sa.Column('st', st))""",
        "failing-upgrade",
        back=(
            "op.drop_column('t', 'st')",
            r"""op.drop_column('t', 'st')
op.execute('DROP TYPE st_kind')""",
        ),
    ),
    LookAlikes(
        "a soft-deleted unique",
        "CREATE TABLE t (id int PRIMARY KEY, email text NOT NULL, deleted_at timestamptz, CONSTRAINT ue UNIQUE (email));",
        r"""with op.get_context().autocommit_block():
    op.execute('DROP INDEX CONCURRENTLY IF EXISTS ux')
    op.execute('CREATE UNIQUE INDEX CONCURRENTLY ux ON t (email) WHERE deleted_at IS NULL')
op.drop_constraint('ue', 't', type_='unique')""",
        r"""with op.get_context().autocommit_block():
    op.execute('DROP INDEX CONCURRENTLY IF EXISTS ux')
    op.execute('CREATE UNIQUE INDEX CONCURRENTLY ux ON t (email) INCLUDE (deleted_at)')
op.drop_constraint('ue', 't', type_='unique')""",
        "lost-arbiter",
    ),
    LookAlikes(
        "not null by trigger",
        "CREATE TABLE t (id int PRIMARY KEY, a text);",
        r"""op.add_column('t', sa.Column('tenant', sa.Text, nullable=True))
op.execute('CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.tenant IS NULL THEN RAISE not_null_violation; END IF; RETURN NEW; END $$')
op.execute('CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()')""",
        r"""op.add_column('t', sa.Column('tenant', sa.Text, nullable=True))
op.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.tenant IS NULL THEN NEW.tenant := 'main'; END IF; RETURN NEW; END $$")
op.execute('CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()')""",
        "refused-after-upgrade",
    ),
    LookAlikes(
        "a time without its zone",
        "CREATE TABLE t (id int PRIMARY KEY, at timestamptz NOT NULL);",
        "op.alter_column('t', 'at', type_=sa.DateTime(), existing_type=sa.DateTime(timezone=True))",
        "op.alter_column('t', 'at', type_=sa.DateTime(timezone=True), existing_type=sa.DateTime(timezone=True))",
        "rewriting-type-change",
    ),
    LookAlikes(
        "char to text",
        "CREATE TABLE t (id int PRIMARY KEY, c char(5) NOT NULL UNIQUE);",
        "op.alter_column('t', 'c', type_=sa.String(3))",
        "op.alter_column('t', 'c', type_=sa.Text())",
        "narrowing-type-change",
    ),
    LookAlikes(
        "copy with a limit",
        "CREATE TABLE t (id int PRIMARY KEY, a text);INSERT INTO t SELECT g,'x' FROM generate_series(1,20) g",
        r"""op.execute('CREATE TABLE old_t AS SELECT * FROM t WHERE id < 10 LIMIT 5')
op.execute('DELETE FROM t WHERE id < 10')""",
        r"""op.execute('CREATE TABLE old_t AS SELECT * FROM t WHERE id < 10')
op.execute('DELETE FROM t WHERE id < 10')""",
        "unreversed-data-change",
    ),
    LookAlikes(
        "a statement timeout for the rest of the session",
        "CREATE TABLE t (id int PRIMARY KEY, a text);",
        r"""op.execute("SET statement_timeout = '1ms'")
op.execute('SELECT pg_sleep(0.01)')""",
        r"""op.execute("SET LOCAL statement_timeout = '30s'")
op.execute('SELECT pg_sleep(0.01)')""",
        "failing-upgrade",
    ),
    LookAlikes(
        "a rename of a constraint that code names",
        "CREATE TABLE t (id int PRIMARY KEY, email text, CONSTRAINT ue UNIQUE (email));",
        "op.execute('ALTER TABLE t RENAME CONSTRAINT ue TO t_email_key')",
        r"""op.execute("COMMENT ON CONSTRAINT ue ON t IS 'x'")""",
        "endless-lock-wait",
    ),
    LookAlikes(
        "case into another column",
        "CREATE TABLE t (id int PRIMARY KEY, status text, level int);",
        r"""op.execute("UPDATE t SET status = (CASE WHEN status = 'new' THEN 'open' WHEN status IN ('old', 'gone') THEN 'closed' END)::text WHERE id > 3")""",
        r"""op.execute("UPDATE t SET level = CASE status WHEN 'new' THEN 1 WHEN 'old' THEN 2 END WHERE id > 3")
op.execute("UPDATE t SET status = coalesce(CASE status WHEN 'new' THEN 'open' END, status) WHERE id > 3")""",
        "unreversed-data-change",
    ),
    LookAlikes(
        "case on an enum",
        "CREATE TYPE e AS ENUM ('a','b','c'); CREATE TABLE t (id int PRIMARY KEY, e e)",
        r"""op.execute("ALTER TABLE t ALTER e TYPE text USING CASE e WHEN 'a' THEN 'A' WHEN 'b' THEN 'B' END")""",
        r"""op.execute("ALTER TABLE t ALTER e TYPE text USING CASE e WHEN 'a' THEN 'A' WHEN 'b' THEN 'B' WHEN 'c' THEN 'C' END")""",
        "narrowing-type-change",
    ),
    LookAlikes(
        "case through sqlalchemy",
        "CREATE TABLE t (id int PRIMARY KEY, status text);",
        r"""t = sa.table('t', sa.column('status'))
op.execute(t.update().values(status=sa.case((t.c.status == 'new', 'open'), (t.c.status == 'old', 'closed'))))""",
        r"""t = sa.table('t', sa.column('status'))
op.execute(t.update().values(status=sa.case((t.c.status == 'new', 'open'), (t.c.status == 'old', 'closed'), else_=t.c.status)))""",
        "unreversed-data-change",
    ),
    LookAlikes(
        "add column if not exists",
        "CREATE TABLE t (id int PRIMARY KEY, a varchar(20), at timestamptz, n bigint);",
        "op.execute('ALTER TABLE t ADD COLUMN IF NOT EXISTS n numeric(10,2)')",
        r"""op.execute('ALTER TABLE t ADD COLUMN IF NOT EXISTS a character varying(20)')
op.execute('ALTER TABLE t ADD COLUMN IF NOT EXISTS at TIMESTAMP WITH TIME ZONE')
op.execute('ALTER TABLE t ADD COLUMN IF NOT EXISTS n int8')""",
        "masking-if-exists",
    ),
    LookAlikes(
        "create table if not exists, twice described",
        "CREATE TABLE t (id int PRIMARY KEY, a text);",
        "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True), sa.Column('a', sa.Text), sa.Column('c', sa.Text), if_not_exists=True)",
        r"""op.create_table('t', sa.Column('id', sa.Integer, primary_key=True), sa.Column('a', sa.Text), sa.Column('c', sa.Text), if_not_exists=True)
op.execute('ALTER TABLE t ADD COLUMN IF NOT EXISTS c text')""",
        "masking-if-exists",
    ),
    LookAlikes(
        "new table with grants and a parent",
        ROLE
        + "CREATE TABLE p (id int PRIMARY KEY, a text);INSERT INTO p SELECT g,'x' FROM generate_series(1,5) g;",
        r"""op.execute('CREATE TABLE audit (x int)')
op.execute('CREATE TABLE n (id int PRIMARY KEY, p_id int REFERENCES p)')
op.execute('GRANT INSERT ON n TO twin_reader')
op.execute('CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (NEW.id); RETURN NEW; END $$')
op.execute('CREATE TRIGGER tr AFTER INSERT ON n FOR EACH ROW EXECUTE FUNCTION f()')""",
        r"""op.execute('CREATE TABLE n (id int PRIMARY KEY, p_id int REFERENCES p)')
op.execute('GRANT INSERT ON n TO twin_reader')""",
        "lost-privileges",
    ),
    LookAlikes(
        "serial and grant on all sequences",
        ROLE + "CREATE TABLE p (id int PRIMARY KEY, a text);",
        r"""op.create_table('n', sa.Column('id', sa.Integer, primary_key=True), sa.Column('a', sa.Text))
op.execute('GRANT INSERT ON ALL TABLES IN SCHEMA public TO twin_reader')""",
        r"""op.create_table('n', sa.Column('id', sa.Integer, primary_key=True), sa.Column('a', sa.Text))
op.execute('GRANT INSERT ON ALL TABLES IN SCHEMA public TO twin_reader')
op.execute('GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO twin_reader')""",
        "lost-privileges",
    ),
    LookAlikes(
        "revoke and grant again",
        ROLE + "CREATE TABLE t (id int PRIMARY KEY, a text);GRANT SELECT ON t TO twin_reader",
        "op.execute('REVOKE USAGE ON SCHEMA public FROM PUBLIC')",
        r"""op.execute('REVOKE ALL ON SCHEMA public FROM PUBLIC')
op.execute('GRANT USAGE ON SCHEMA public TO twin_reader')""",
        "lost-privileges",
    ),
    LookAlikes(
        "floating",
        "CREATE TABLE t (id int PRIMARY KEY, a numeric, b numeric(12,2), c bigint, d real);",
        "op.execute('ALTER TABLE t ALTER c TYPE real')",
        r"""op.execute('ALTER TABLE t ALTER d TYPE double precision')
op.execute('ALTER TABLE t ALTER b TYPE double precision')""",
        "narrowing-type-change",
    ),
    LookAlikes(
        "cents written otherwise",
        "CREATE TABLE t (id int PRIMARY KEY, price numeric(8,2));",
        "op.alter_column('t', 'price', type_=sa.Integer(), postgresql_using='price::integer')",
        "op.alter_column('t', 'price', type_=sa.Integer(), postgresql_using='CAST(round(price * 100) AS integer)')",
        "narrowing-type-change",
    ),
    LookAlikes(
        "cents with too few zeros",
        "CREATE TABLE t (id int PRIMARY KEY, price numeric(8,3));",
        "op.alter_column('t', 'price', type_=sa.BigInteger(), postgresql_using='(price * 100)::bigint')",
        "op.alter_column('t', 'price', type_=sa.BigInteger(), postgresql_using='(price * 1000)::bigint')",
        "narrowing-type-change",
    ),
    LookAlikes(
        "policy function",
        "CREATE FUNCTION allowed(x text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN x IS NOT NULL; END $$; CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL);INSERT INTO t SELECT g,'x' FROM generate_series(1,20) g; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (allowed(a)) WITH CHECK (true)",
        "op.execute('CREATE OR REPLACE FUNCTION allowed(x text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN x IN (SELECT name FROM tenants); END $$')",
        r"""op.execute("CREATE OR REPLACE FUNCTION allowed(x text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN x <> ''; END $$")""",
        "stale-function",
    ),
    LookAlikes(
        "keys in a temporary table",
        "CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL);CREATE TABLE c (id int PRIMARY KEY, t_id int REFERENCES t ON DELETE CASCADE); INSERT INTO t SELECT g,'x' FROM generate_series(1,20) g; INSERT INTO c SELECT g,g FROM generate_series(1,20) g",
        r"""op.execute('CREATE TEMP TABLE ids ON COMMIT DROP AS SELECT id FROM t WHERE id > 15')
op.execute('DELETE FROM t WHERE id IN (SELECT id FROM ids)')""",
        r"""op.execute('CREATE TEMP TABLE ids ON COMMIT DROP AS SELECT id FROM t WHERE id > 15')
op.execute('UPDATE c SET t_id = 1 WHERE t_id IN (SELECT id FROM ids)')""",
        "unreversed-data-change",
    ),
    LookAlikes(
        "trigger that refuses with a state",
        "CREATE TABLE t (id int PRIMARY KEY, a text);",
        r"""op.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no more' USING ERRCODE = 'check_violation'; END $$")
op.execute('CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()')""",
        r"""op.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id < 0 THEN RAISE EXCEPTION 'no more' USING ERRCODE = 'check_violation'; END IF; RETURN NEW; END $$")
op.execute('CREATE TRIGGER tr BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()')""",
        "refused-after-upgrade",
    ),
    LookAlikes(
        "renamed twice",
        "CREATE TABLE t (id int PRIMARY KEY, a text);",
        [
            ("op.alter_column('t', 'a', new_column_name='b')", "op.alter_column('t', 'b', new_column_name='a')"),
            ("op.add_column('t', sa.Column('c', sa.Text))", "op.drop_column('t', 'c')"),
        ],
        [
            ("op.alter_column('t', 'a', new_column_name='b')", "op.alter_column('t', 'b', new_column_name='a')"),
            ("op.alter_column('t', 'b', new_column_name='a')", "op.alter_column('t', 'a', new_column_name='b')"),
        ],
        "renamed-column",
        together=True,
    ),
    LookAlikes(
        "grant in a later revision",
        ROLE + "CREATE TABLE t (id int PRIMARY KEY, a text);GRANT SELECT ON t TO twin_reader;",
        [
            (
                r"""op.create_table('n', sa.Column('id', sa.Integer, primary_key=True), sa.Column('a', sa.Text))
op.execute('GRANT INSERT ON n TO twin_reader')""",
                "op.drop_table('n')",
            ),
            ("op.add_column('t', sa.Column('c', sa.Text))", "op.drop_column('t', 'c')"),
        ],
        [
            (
                r"""op.create_table('n', sa.Column('id', sa.Integer, primary_key=True), sa.Column('a', sa.Text))
op.execute('GRANT INSERT ON n TO twin_reader')""",
                "op.drop_table('n')",
            ),
            (
                "op.execute('GRANT USAGE ON SEQUENCE n_id_seq TO twin_reader')",
                "op.execute('REVOKE USAGE ON SEQUENCE n_id_seq FROM twin_reader')",
            ),
        ],
        "lost-privileges",
        together=True,
    ),
    LookAlikes(
        "split and kept",
        "CREATE TABLE t (id int PRIMARY KEY, name text, first text, last text);",
        r"""op.execute("UPDATE t SET first = split_part(name, ' ', 1), last = split_part(name, ' ', 2)")
op.drop_column('t', 'name')""",
        r"""op.execute("UPDATE t SET first = split_part(name, ' ', 1), last = substr(name, length(split_part(name, ' ', 1)) + 2)")""",
        "dropped-column",
        back=(
            r"""op.add_column('t', sa.Column('name', sa.Text))
op.execute("UPDATE t SET name = first || ' ' || last")""",
            "pass",
        ),
    ),
]
