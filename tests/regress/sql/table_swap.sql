-- Another table takes the place of one that a feed reads, by its name. Views read tables, not names: the feed goes on with the
-- former one, says so, and has the command that leads it to the new one.
CREATE SCHEMA depot;
SELECT count(*) >= 0 AS looked FROM test.captured();
CREATE TABLE depot.parcel (id int PRIMARY KEY, weight int);
CREATE TABLE depot.box (id int PRIMARY KEY, parcel int, label text);
CREATE VIEW depot.parcel_boxes AS SELECT box.parcel, array_agg(box.label ORDER BY box.id) AS labels FROM depot.box GROUP BY box.parcel;
CREATE VIEW depot.parcel_document AS
    SELECT parcel.id, parcel.weight, 'in depot.parcels'::text AS place, b.labels FROM depot.parcel LEFT JOIN depot.parcel_boxes b ON b.parcel = parcel.id;
SELECT conveyor.create_target('shelf', 'ndjson', '{"directory": "/nonexistent"}');
SELECT conveyor.create_feed('parcels', 'depot.parcel_document', root => 'depot.parcel');
SELECT conveyor.add_watch('parcels', 'depot.box', '{parcel,label}', 'SELECT parcel FROM changed');
SELECT conveyor.create_delivery('parcels_to_shelf', 'parcels', 'shelf', options => '{"backfill": false}');
-- A new name alone is nothing.
ALTER TABLE depot.parcel RENAME TO package;
ALTER TABLE depot.package RENAME TO parcel;
SELECT * FROM conveyor.audit() WHERE object ~ 'parcel';

-- As tools for online schema changes do it.
CREATE TABLE depot.parcel_new (LIKE depot.parcel INCLUDING ALL);
ALTER TABLE depot.parcel_new ALTER weight TYPE bigint;
INSERT INTO depot.parcel VALUES (1, 10);
INSERT INTO depot.parcel_new SELECT * FROM depot.parcel;
BEGIN;
ALTER TABLE depot.parcel RENAME TO parcel_old;
ALTER TABLE depot.parcel_new RENAME TO parcel;
COMMIT;
SELECT * FROM test.captured();
UPDATE depot.parcel SET weight = 11;
UPDATE depot.parcel_old SET weight = 12;
SELECT * FROM test.captured();
SELECT state FROM conveyor.delivery_status WHERE delivery = 'parcels_to_shelf';
\x on
SELECT * FROM conveyor.audit() WHERE object ~ 'parcel';
\x off
-- The type of the view's column would be another one: here CREATE OR REPLACE cannot do it, and the view is made anew.
SELECT remedy FROM conveyor.audit() WHERE object ~ 'parcel' \gset
\set ECHO none
:remedy;
\set ECHO all
BEGIN;
DROP VIEW depot.parcel_document;
CREATE VIEW depot.parcel_document AS
    SELECT parcel.id, parcel.weight, 'in depot.parcels'::text AS place, b.labels FROM depot.parcel LEFT JOIN depot.parcel_boxes b ON b.parcel = parcel.id;
COMMIT;
SELECT root, relations FROM conveyor.feed_definition WHERE feed = 'parcels';
SELECT relation, derived FROM conveyor.watch WHERE feed = 'parcels' ORDER BY 1;
SELECT state FROM conveyor.delivery_status WHERE delivery = 'parcels_to_shelf';
SELECT * FROM conveyor.audit() WHERE object ~ 'parcel';
UPDATE depot.parcel SET weight = 13;
UPDATE depot.parcel_old SET weight = 14;
SELECT * FROM test.captured();
DROP TABLE depot.parcel_old;

-- A table of the same form, read by a view inside; the new one is made under the name at once. The command is run as it is printed.
BEGIN;
ALTER TABLE depot.box RENAME TO "Box.old";
CREATE TABLE depot.box (id int PRIMARY KEY, parcel int, label text);
COMMIT;
SELECT object, problem FROM conveyor.audit() WHERE object ~ 'parcel';
SELECT remedy FROM conveyor.audit() WHERE object ~ 'parcel' \gset
\set ECHO none
:remedy;
\set ECHO all
SELECT pg_get_viewdef('depot.parcel_boxes');
SELECT object, problem, remedy FROM conveyor.audit() WHERE object ~ 'parcel';
SELECT state, throttle FROM conveyor.delivery_status WHERE delivery = 'parcels_to_shelf';
SELECT conveyor.add_watch('parcels', 'depot.box', '{parcel,label}', 'SELECT parcel FROM changed');
SELECT conveyor.drop_watch('parcels', 'depot."Box.old"');
SELECT state FROM conveyor.delivery_status WHERE delivery = 'parcels_to_shelf';
SELECT * FROM conveyor.audit() WHERE object ~ 'parcel';

-- The names as they are now are accepted, or the view itself is the one that was exchanged.
ALTER TABLE depot.box RENAME TO crate;
CREATE TABLE depot.box (id int);
SELECT count(*) FROM conveyor.audit() WHERE object ~ 'parcel';
SELECT conveyor.adapt_feed('parcels');
SELECT * FROM conveyor.audit() WHERE object ~ 'parcel';
ALTER VIEW depot.parcel_document RENAME TO parcel_document_old;
CREATE VIEW depot.parcel_document AS SELECT p.id, p.weight, b.labels FROM depot.parcel p LEFT JOIN depot.parcel_boxes b ON b.parcel = p.id;
SELECT object, problem, remedy FROM conveyor.audit() WHERE object ~ 'parcel';
SELECT remedy FROM conveyor.audit() WHERE object ~ 'parcel' \gset
:remedy;
SELECT document_view FROM conveyor.feed_definition WHERE feed = 'parcels';
SELECT * FROM conveyor.audit() WHERE object ~ 'parcel';

-- A table that is written anew in its place stays the one that it was.
SELECT count(*) >= 0 AS looked FROM test.captured();
CLUSTER depot.parcel USING parcel_new_pkey;
VACUUM FULL depot.parcel;
SELECT * FROM test.captured();
UPDATE depot.parcel SET weight = 15;
SELECT * FROM test.captured();
SELECT conveyor.drop_delivery('parcels_to_shelf');
SELECT conveyor.drop_feed('parcels');
SELECT conveyor.drop_target('shelf');
DROP SCHEMA depot CASCADE;
