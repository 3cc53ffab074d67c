CREATE SCHEMA administration;
