-- What the application's create_all made before there were migrations.
CREATE TABLE items (id serial PRIMARY KEY, name varchar(50));
