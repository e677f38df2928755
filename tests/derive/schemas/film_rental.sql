-- Films on disc, lent by the copy in several shops.
CREATE TABLE language (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE genre (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE film (
    id int PRIMARY KEY, title text NOT NULL, year int NOT NULL, minutes int,
    language text NOT NULL REFERENCES language, dubbed_from text REFERENCES language,
    day_rate numeric(5, 2) NOT NULL, extras text[] NOT NULL DEFAULT '{}', shelf_note text
);
CREATE TABLE film_genre (film_id int NOT NULL REFERENCES film ON DELETE CASCADE, genre_id int NOT NULL REFERENCES genre, PRIMARY KEY (film_id, genre_id));
CREATE TABLE person (id int PRIMARY KEY, name text NOT NULL, born date);
CREATE TABLE casting (
    film_id int NOT NULL REFERENCES film ON DELETE CASCADE, person_id int NOT NULL REFERENCES person, billing int NOT NULL, plays text,
    PRIMARY KEY (film_id, person_id)
);
CREATE TABLE shop (id int PRIMARY KEY, city text NOT NULL, open boolean NOT NULL);
CREATE TABLE copy (id int PRIMARY KEY, film_id int NOT NULL REFERENCES film, shop_id int NOT NULL REFERENCES shop, damaged boolean NOT NULL DEFAULT false);
CREATE TABLE member (id int PRIMARY KEY, name text NOT NULL, email text, home_shop int REFERENCES shop);
CREATE TABLE loan (id int PRIMARY KEY, copy_id int NOT NULL REFERENCES copy, member_id int NOT NULL REFERENCES member, lent_on date NOT NULL, returned_on date);
CREATE TABLE fee (
    id int NOT NULL, loan_id int NOT NULL, charged_on date NOT NULL, amount numeric(7, 2) NOT NULL, PRIMARY KEY (id, charged_on)
) PARTITION BY RANGE (charged_on);
CREATE TABLE fee_until_2024 PARTITION OF fee FOR VALUES FROM (MINVALUE) TO ('2025-01-01');
CREATE TABLE fee_2025 PARTITION OF fee FOR VALUES FROM ('2025-01-01') TO (MAXVALUE);

-- What the search page shows of a film.
CREATE VIEW film_document AS
SELECT f.id, f.title, f.year, f.day_rate, f.extras, l.name AS language, d.name AS dubbed_from,
       (SELECT jsonb_agg(g.name ORDER BY g.name) FROM film_genre fg JOIN genre g ON g.id = fg.genre_id WHERE fg.film_id = f.id) AS genres,
       (SELECT jsonb_agg(jsonb_build_object('name', p.name, 'plays', c.plays) ORDER BY c.billing, p.id)
          FROM casting c JOIN person p ON p.id = c.person_id WHERE c.film_id = f.id) AS actors,
       (SELECT jsonb_agg(jsonb_build_object('city', s.city, 'free', a.free) ORDER BY s.city, s.id)
          FROM shop s
          JOIN (SELECT k.film_id, k.shop_id, count(*) AS free FROM copy k
                 WHERE NOT k.damaged AND NOT EXISTS (SELECT FROM loan o WHERE o.copy_id = k.id AND o.returned_on IS NULL)
                 GROUP BY k.film_id, k.shop_id) a ON a.shop_id = s.id
         WHERE a.film_id = f.id AND s.open) AS available
  FROM film f
  JOIN language l ON l.code = f.language
  LEFT JOIN language d ON d.code = f.dubbed_from;

-- A member with the latest three loans and what is owed.
CREATE VIEW member_document AS
SELECT m.id, m.name, m.email, s.city AS home,
       recent.loans,
       (SELECT coalesce(sum(e.amount), 0) FROM loan o JOIN fee e ON e.loan_id = o.id WHERE o.member_id = m.id) AS owes
  FROM member m
  LEFT JOIN shop s ON s.id = m.home_shop
  LEFT JOIN LATERAL (
       SELECT jsonb_agg(jsonb_build_object('title', x.title, 'lent_on', x.lent_on) ORDER BY x.lent_on DESC, x.id DESC) AS loans
         FROM (SELECT o.id, f.title, o.lent_on FROM loan o JOIN copy k ON k.id = o.copy_id JOIN film f ON f.id = k.film_id
                WHERE o.member_id = m.id ORDER BY o.lent_on DESC, o.id DESC LIMIT 3) x) recent ON true;

-- A document for each shop and film: a key of two columns, out of a GROUP BY.
CREATE VIEW stock_document AS
SELECT k.shop_id, k.film_id, s.city, f.title, count(*) AS copies, count(*) FILTER (WHERE k.damaged) AS damaged
  FROM copy k
  JOIN shop s ON s.id = k.shop_id
  JOIN film f ON f.id = k.film_id
 WHERE s.open
 GROUP BY k.shop_id, k.film_id, s.city, f.title
HAVING count(*) > 0;
