-- Books, who wrote them, and what readers say.
CREATE TABLE publisher (id int PRIMARY KEY, name text NOT NULL, country text NOT NULL);
CREATE TABLE series (id int PRIMARY KEY, title text NOT NULL, part_of int REFERENCES series);
CREATE TABLE book (
    id int PRIMARY KEY, title text NOT NULL, subtitle text, publisher_id int REFERENCES publisher, series_id int REFERENCES series, volume int,
    published date, withdrawn boolean NOT NULL DEFAULT false, warehouse_bin text
);
CREATE TABLE author (id int PRIMARY KEY, name text NOT NULL, pen_name_of int REFERENCES author);
CREATE TABLE authorship (book_id int NOT NULL REFERENCES book ON DELETE CASCADE, author_id int NOT NULL REFERENCES author, place int NOT NULL, PRIMARY KEY (book_id, author_id));
CREATE TABLE tag (word text PRIMARY KEY, label text NOT NULL);
CREATE TABLE book_tag (book_id int NOT NULL REFERENCES book ON DELETE CASCADE, word text NOT NULL REFERENCES tag, PRIMARY KEY (book_id, word));
CREATE TABLE price (book_id int NOT NULL REFERENCES book ON DELETE CASCADE, currency text NOT NULL, amount numeric NOT NULL, PRIMARY KEY (book_id, currency));
CREATE TABLE reader (id int PRIMARY KEY, nick text NOT NULL, banned boolean NOT NULL DEFAULT false);
CREATE TABLE review (
    id int PRIMARY KEY, book_id int NOT NULL REFERENCES book ON DELETE CASCADE, reader_id int NOT NULL REFERENCES reader, stars int NOT NULL, body text, written_on date NOT NULL,
    hidden boolean NOT NULL DEFAULT false
);

-- What counts: a view that other views read.
CREATE VIEW shown_review AS
SELECT r.id, r.book_id, r.stars, r.body, r.written_on, e.nick FROM review r JOIN reader e ON e.id = r.reader_id WHERE NOT r.hidden AND NOT e.banned;
CREATE VIEW rating AS
SELECT book_id, count(*) AS reviews, sum(stars) AS stars FROM shown_review GROUP BY book_id;

-- A book is found until it is withdrawn.
CREATE VIEW book_document AS
WITH words AS MATERIALIZED (SELECT bt.book_id, jsonb_agg(t.label ORDER BY t.word) AS labels FROM book_tag bt JOIN tag t USING (word) GROUP BY bt.book_id)
SELECT b.id, b.title, b.subtitle, b.published, p.name AS publisher, s.title AS series, w.title AS whole_series, b.volume,
       r.reviews, r.stars, words.labels,
       (SELECT jsonb_agg(jsonb_build_object('name', a.name, 'known_as', o.name) ORDER BY m.place, a.id)
          FROM authorship m JOIN author a ON a.id = m.author_id LEFT JOIN author o ON o.id = a.pen_name_of WHERE m.book_id = b.id) AS authors,
       (SELECT jsonb_object_agg(x.currency, x.amount) FROM price x WHERE x.book_id = b.id) AS prices,
       latest.body AS latest_review
  FROM book b
  LEFT JOIN publisher p ON p.id = b.publisher_id
  LEFT JOIN series s ON s.id = b.series_id
  LEFT JOIN series w ON w.id = s.part_of
  LEFT JOIN rating r ON r.book_id = b.id
  LEFT JOIN words ON words.book_id = b.id
  LEFT JOIN (SELECT DISTINCT ON (book_id) book_id, body FROM shown_review ORDER BY book_id, written_on DESC, id DESC) latest ON latest.book_id = b.id
 WHERE NOT b.withdrawn;

-- Authors who have a book that is sold, with what readers think of all of them.
CREATE VIEW author_document AS
SELECT a.id, a.name, count(DISTINCT b.id) AS books, sum(r.stars) AS stars, jsonb_agg(b.title ORDER BY b.title, b.id) AS titles
  FROM author a
  JOIN authorship m ON m.author_id = a.id
  JOIN book b ON b.id = m.book_id AND NOT b.withdrawn
  LEFT JOIN rating r ON r.book_id = b.id
 GROUP BY a.id, a.name;

-- One document a country.
CREATE VIEW country_document AS
SELECT p.country, count(DISTINCT p.id) AS publishers, count(b.id) AS books FROM publisher p LEFT JOIN book b ON b.publisher_id = p.id GROUP BY p.country;
