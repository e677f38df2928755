-- Columns that are renamed, added and dropped under a feed whose deliveries run.
CREATE TABLE book (isbn text, edition int, title text, unread int, PRIMARY KEY (isbn, edition));
CREATE TABLE chapter (id int PRIMARY KEY, isbn text NOT NULL, edition int NOT NULL, heading text, pages int);
CREATE VIEW book_document AS
    SELECT b.isbn, b.edition, b.title, (SELECT array_agg(c.heading ORDER BY c.id) FROM chapter c WHERE c.isbn = b.isbn) AS chapters FROM book b;
SELECT conveyor.create_target('shelf', 'ndjson', '{"directory": "/nonexistent"}');
SELECT conveyor.create_feed('books', 'book_document', root => 'book');
SELECT conveyor.add_watch('books', 'chapter', '{isbn,edition,heading,pages}', 'SELECT isbn, changed.edition FROM changed ORDER BY 1');
SELECT conveyor.create_delivery('books_to_shelf', 'books', 'shelf', options => '{"backfill": false}');
INSERT INTO book VALUES ('i', 1, 'first', 0), ('i', 2, 'second', 0);
INSERT INTO chapter VALUES (1, 'i', 1, 'one', 1), (2, 'i', 2, 'one', 1);
CREATE FUNCTION test.window() RETURNS TABLE (kind text, key text) LANGUAGE sql AS $$
    SELECT r.kind, coalesce(r.key, r.body) FROM (SELECT conveyor.window_keys('books_to_shelf') AS frame) AS w, conveyor.frame_records(w.frame) AS r
     WHERE r.kind IN ('k', 's') ORDER BY 1, 2;
$$;
CREATE FUNCTION test.move() RETURNS void LANGUAGE sql AS $$
    UPDATE conveyor.delivery_state SET cursor = conveyor.latest_snapshot() WHERE delivery = 'books_to_shelf';
$$;
BEGIN READ ONLY; SELECT * FROM test.window(); COMMIT;
SELECT test.move();
-- What was logged by the old names is found by the new ones; keys and key queries follow.
UPDATE book SET title = 'First' WHERE edition = 1;
ALTER TABLE book RENAME isbn TO "International Standard";
ALTER TABLE chapter RENAME isbn TO "of""book";
UPDATE chapter SET heading = 'One' WHERE id = 2;
BEGIN READ ONLY; SELECT * FROM test.window(); COMMIT;
SELECT relation, columns, recorded, documents, derived FROM conveyor.watch WHERE feed = 'books' ORDER BY relation::text;
SELECT root_key FROM conveyor.feed_definition WHERE feed = 'books';
SELECT conveyor.range_end('books_to_shelf', '{i,1}', 1);
SELECT * FROM conveyor.audit() WHERE object ~ 'book|chapter';
SELECT test.move();
ALTER TABLE chapter RENAME "of""book" TO isbn;
UPDATE chapter SET pages = 2;
BEGIN READ ONLY; SELECT * FROM test.window(); COMMIT;
SELECT test.move();
-- What the view does not use is not compared.
ALTER TABLE book ADD shelf int;
ALTER TABLE book DROP unread;
UPDATE book SET shelf = 7 WHERE edition = 2;
BEGIN READ ONLY; SELECT * FROM test.window(); COMMIT;
SELECT test.move();
SELECT * FROM conveyor.audit() WHERE object ~ 'book|chapter';
SELECT held_reason FROM conveyor.delivery_state WHERE delivery = 'books_to_shelf';
-- What a key query reads is gone: nothing may be called delivered until someone has said how to go on.
ALTER TABLE chapter DROP edition;
SELECT held_reason FROM conveyor.delivery_state WHERE delivery = 'books_to_shelf';
SELECT state, throttle FROM conveyor.delivery_status WHERE delivery = 'books_to_shelf';
INSERT INTO chapter VALUES (3, 'i', 'two', 1);
SELECT severity, object, problem FROM conveyor.audit() WHERE problem ~ 'book|chapter';
SELECT conveyor.drop_delivery('books_to_shelf');
SELECT conveyor.drop_feed('books');
SELECT conveyor.drop_target('shelf');
SELECT count(*) > 0 AS logged FROM test.captured();
