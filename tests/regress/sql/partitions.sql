-- Partitions and children, written directly and through their parent, that come and go.
CREATE TABLE event (id int, day int, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10);
-- Other column numbers than the parent's.
CREATE TABLE event_2 (gone int, v text, day int NOT NULL, id int NOT NULL);
ALTER TABLE event_2 DROP gone;
ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM (10) TO (20);
SELECT test.watch('event', '{v}', '{id}');
INSERT INTO event VALUES (1, 1, 'a'), (2, 11, 'a');
INSERT INTO event_2 (id, day, v) VALUES (3, 12, 'a');
SELECT * FROM test.captured();
UPDATE event SET v = 'b' WHERE id = 2;
DELETE FROM event_2 WHERE id = 3;
SELECT * FROM test.captured();
-- Row movement: neither v nor id changes, but a row goes and a row comes.
UPDATE event SET day = 13 WHERE id = 1;
SELECT * FROM test.captured();
-- A new partition, one that is attached with rows, one that is detached, one that is dropped.
CREATE TABLE event_3 PARTITION OF event FOR VALUES FROM (20) TO (30);
INSERT INTO event_3 VALUES (4, 20, 'a');
SELECT * FROM test.captured();
CREATE TABLE event_4 (id int NOT NULL, day int NOT NULL, v text);
INSERT INTO event_4 VALUES (5, 30, 'a');
ALTER TABLE event ATTACH PARTITION event_4 FOR VALUES FROM (30) TO (40);
SELECT * FROM test.captured();
INSERT INTO event_4 VALUES (6, 30, 'a');
SELECT * FROM test.captured();
ALTER TABLE event DETACH PARTITION event_4;
INSERT INTO event_4 VALUES (7, 30, 'a');
SELECT * FROM test.captured();
DROP TABLE event_3;
SELECT * FROM test.captured();
-- Inheritance children have no clones.
CREATE TABLE base (id int PRIMARY KEY, v text);
SELECT test.watch('base', '{v}', '{id}');
CREATE TABLE derived (more int) INHERITS (base);
INSERT INTO derived VALUES (1, 'a', 1);
UPDATE base SET v = 'b';
SELECT * FROM test.captured();
ALTER TABLE derived NO INHERIT base;
SELECT * FROM test.captured();
ALTER TABLE derived INHERIT base;
SELECT * FROM test.captured();
SELECT tgrelid::regclass, regexp_replace(tgname, '\d+', 'N') AS trigger, tgenabled FROM pg_trigger
 WHERE tgname LIKE 'conveyor%' AND tgrelid::regclass::text ~ '^(event|base|derived)' ORDER BY 1, 2;
SELECT * FROM conveyor.audit();
SELECT test.unwatch('event'), test.unwatch('base');
SELECT count(*) FROM pg_trigger WHERE tgrelid::regclass::text ~ '^(event|base|derived)';
