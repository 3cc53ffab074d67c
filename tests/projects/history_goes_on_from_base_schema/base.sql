-- A dump of the schema at revision 1f0c6a7b9d23.
CREATE TABLE items (id serial PRIMARY KEY, name varchar(50), price numeric(10, 2));
CREATE TABLE alembic_version (version_num varchar(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
INSERT INTO alembic_version VALUES ('1f0c6a7b9d23');
