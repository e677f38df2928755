-- Postal codes and the places they lead to, with names in several languages.
CREATE TABLE country (code text PRIMARY KEY, name text NOT NULL, capital_id int);
CREATE TABLE region (country text NOT NULL REFERENCES country, code text NOT NULL, name text NOT NULL, PRIMARY KEY (country, code));
CREATE TABLE place (
    id int PRIMARY KEY, country text NOT NULL, region text, name text NOT NULL, inhabitants int, dissolved boolean NOT NULL DEFAULT false, surveyed_on date
);
CREATE TABLE hamlet (PRIMARY KEY (id), belongs_to int) INHERITS (place);
CREATE TABLE place_name (place_id int NOT NULL, language text NOT NULL, name text NOT NULL, PRIMARY KEY (place_id, language));
CREATE TABLE postal_code (country text NOT NULL REFERENCES country, code text NOT NULL, kind text NOT NULL, PRIMARY KEY (country, code)) PARTITION BY LIST (country);
CREATE TABLE postal_code_west PARTITION OF postal_code FOR VALUES IN ('c0', 'c1', 'c2');
CREATE TABLE postal_code_other PARTITION OF postal_code DEFAULT;
CREATE TABLE serves (country text NOT NULL, code text NOT NULL, place_id int NOT NULL, main boolean NOT NULL, PRIMARY KEY (country, code, place_id));

-- A key of two columns, and joins over both.
CREATE VIEW postal_document AS
SELECT z.country, z.code, z.kind, c.name AS country_name,
       (SELECT jsonb_agg(jsonb_build_object('place', p.name, 'region', r.name, 'main', s.main,
                         'names', (SELECT jsonb_object_agg(n.language, n.name) FROM place_name n WHERE n.place_id = p.id)) ORDER BY s.main DESC, p.name, p.id)
          FROM serves s JOIN place p ON p.id = s.place_id LEFT JOIN region r ON (r.country, r.code) = (p.country, p.region)
         WHERE s.country = z.country AND s.code = z.code AND NOT p.dissolved) AS places
  FROM postal_code z JOIN country c ON c.code = z.country;

-- Places with their own names or, where there are none, as the country calls them.
CREATE VIEW place_document AS
SELECT p.id, coalesce(en.name, p.name) AS name, r.name AS region, c.name AS country, k.id IS NOT NULL AS is_capital, p.inhabitants,
       ARRAY(SELECT s.code FROM serves s WHERE s.place_id = p.id AND s.country = p.country ORDER BY s.code) AS codes
  FROM place p
  JOIN country c ON c.code = p.country
  LEFT JOIN region r ON r.country = p.country AND r.code = p.region
  LEFT JOIN place_name en ON en.place_id = p.id AND en.language = 'en'
  LEFT JOIN place k ON k.id = c.capital_id AND k.id = p.id
 WHERE NOT p.dissolved;

-- One document a region, out of places; regions whose places are all dissolved are gone.
CREATE VIEW region_document AS
SELECT r.country, r.code, r.name, count(*) AS places, sum(p.inhabitants) AS inhabitants, max(p.name) AS last_name
  FROM region r JOIN place p ON p.country = r.country AND p.region = r.code
 WHERE NOT p.dissolved
 GROUP BY r.country, r.code, r.name;
