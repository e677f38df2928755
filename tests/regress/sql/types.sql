-- Keys and captured columns of every kind of type, as images: what is `=` may still be different.
CREATE EXTENSION citext;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN positive AS int CHECK (value > 0);

CREATE TABLE kinds (
    a bigint, b uuid, c numeric(10, 2), d bytea, e mood, f positive, g timestamptz, h citext, i text, j boolean, k smallint,
    l float8, m name, n int[], o date, PRIMARY KEY (a, b)
);
SELECT test.watch('kinds', '{i}', '{a,b,c,d,e,f,g,h,i,j,k,l,m,n,o}');
SET TimeZone = 'UTC';
INSERT INTO kinds VALUES
    (-9223372036854775808, 'd7e6f6ee-9a0b-4f36-b2b0-4b0d3f0c0a11', 1.50, '\x00ff', 'happy', 7, '2026-01-02 03:04:05.678+00', 'CiText', '', true,
     -32768, -0.5, 'a name', '{1,NULL,3}', '1999-12-31'),
    (9223372036854775807, 'd7e6f6ee-9a0b-4f36-b2b0-4b0d3f0c0a11', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT * FROM test.captured();

-- Equal and yet different: citext in another case, a numeric of another scale, minus zero.
CREATE TABLE image (id int PRIMARY KEY, c citext, n numeric, f float8);
SELECT test.watch('image', '{c,n,f}', '{id,c,n,f}');
INSERT INTO image VALUES (1, 'a', 1.0, 0);
SELECT count(*) FROM test.captured();
UPDATE image SET c = 'A';
SELECT * FROM test.captured();
UPDATE image SET n = 1.00;
SELECT * FROM test.captured();
UPDATE image SET f = '-0';
SELECT * FROM test.captured();
-- The same image again is no change.
UPDATE image SET c = 'A', n = 1.00, f = '-0';
SELECT * FROM test.captured();

-- Values out of line: 10 MB, compressed and not, changed in one byte, left alone, moved.
CREATE TABLE large (id int PRIMARY KEY, plain text, packed text, other int);
ALTER TABLE large ALTER plain SET STORAGE EXTERNAL;
SELECT test.watch('large', '{plain,packed}', '{id,plain,packed}');
INSERT INTO large VALUES (1, repeat('0123456789', 1024 * 1024), repeat('abc', 1024 * 1024), 0);
SELECT kind, length(entry ->> 'plain') AS plain, md5(entry ->> 'plain') = md5(repeat('0123456789', 1024 * 1024)) AS same,
       length(entry ->> 'packed') AS packed FROM test.captured();
UPDATE large SET other = 1;
SELECT count(*) FROM test.captured();
UPDATE large SET plain = plain || '';
SELECT count(*) FROM test.captured();
UPDATE large SET plain = overlay(plain PLACING 'x' FROM 5000000);
SELECT kind, substr(entry ->> 'plain', 4999999, 3) AS plain FROM test.captured();
SELECT test.unwatch('kinds'), test.unwatch('image'), test.unwatch('large');
