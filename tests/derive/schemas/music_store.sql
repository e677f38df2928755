-- Recorded music, sold by the piece.
CREATE TABLE artist (id int PRIMARY KEY, name text NOT NULL, site text);
CREATE TABLE album (id int PRIMARY KEY, artist_id int NOT NULL REFERENCES artist, title text NOT NULL, released int);
CREATE TABLE style (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE track (
    id int PRIMARY KEY, album_id int REFERENCES album, style_id int REFERENCES style, number int, title text NOT NULL, seconds int NOT NULL, price numeric(5, 2) NOT NULL,
    plays int NOT NULL DEFAULT 0
);
CREATE TABLE featuring (track_id int NOT NULL REFERENCES track ON DELETE CASCADE, artist_id int NOT NULL REFERENCES artist, PRIMARY KEY (track_id, artist_id));
CREATE TABLE clerk (id int PRIMARY KEY, name text NOT NULL, reports_to int REFERENCES clerk);
CREATE TABLE buyer (id int PRIMARY KEY, name text NOT NULL, country text NOT NULL, clerk_id int REFERENCES clerk, closed boolean NOT NULL DEFAULT false);
CREATE TABLE address (buyer_id int NOT NULL REFERENCES buyer ON DELETE CASCADE, kind text NOT NULL, street text NOT NULL, PRIMARY KEY (buyer_id, kind));
CREATE TABLE invoice (id int PRIMARY KEY, buyer_id int NOT NULL REFERENCES buyer, issued_on date NOT NULL);
CREATE TABLE invoice_line (
    invoice_id int NOT NULL REFERENCES invoice ON DELETE CASCADE, line int NOT NULL, track_id int NOT NULL REFERENCES track, price numeric(5, 2) NOT NULL, PRIMARY KEY (invoice_id, line)
);
CREATE TABLE playlist (id int PRIMARY KEY, name text NOT NULL, owner_id int REFERENCES buyer, public boolean NOT NULL);
CREATE TABLE playlist_track (playlist_id int NOT NULL REFERENCES playlist ON DELETE CASCADE, place int NOT NULL, track_id int NOT NULL REFERENCES track, PRIMARY KEY (playlist_id, place));

CREATE VIEW album_document AS
SELECT b.id, b.title, b.released, a.name AS artist, coalesce(t.seconds, 0) AS seconds, t.tracks
  FROM album b
  JOIN artist a ON a.id = b.artist_id
  LEFT JOIN LATERAL (
       SELECT sum(t.seconds) AS seconds,
              jsonb_agg(jsonb_build_object('title', t.title, 'style', s.name, 'with',
                        (SELECT jsonb_agg(g.name ORDER BY g.name, g.id) FROM featuring f JOIN artist g ON g.id = f.artist_id WHERE f.track_id = t.id)) ORDER BY t.number, t.id) AS tracks
         FROM track t LEFT JOIN style s ON s.id = t.style_id WHERE t.album_id = b.id) t ON true;

-- Two addresses of one table, a clerk and that clerk's superior, and what was bought: chains of three and four tables.
CREATE VIEW buyer_document AS
SELECT u.id, u.name, h.street AS home, w.street AS billing, c.name AS clerk, m.name AS manager,
       (SELECT sum(l.price) FROM invoice i JOIN invoice_line l ON l.invoice_id = i.id WHERE i.buyer_id = u.id) AS spent,
       ARRAY(SELECT DISTINCT a.name FROM invoice i JOIN invoice_line l ON l.invoice_id = i.id JOIN track t ON t.id = l.track_id
               JOIN album b ON b.id = t.album_id JOIN artist a ON a.id = b.artist_id WHERE i.buyer_id = u.id ORDER BY a.name) AS artists,
       EXISTS (SELECT FROM playlist p WHERE p.owner_id = u.id AND p.public) AS shares
  FROM buyer u
  LEFT JOIN address h ON h.buyer_id = u.id AND h.kind = 'home'
  LEFT JOIN address w ON w.buyer_id = u.id AND w.kind = 'billing'
  LEFT JOIN clerk c ON c.id = u.clerk_id
  LEFT JOIN clerk m ON m.id = c.reports_to
 WHERE NOT u.closed;

-- One index for everything that can be found: a key of kind and number.
CREATE VIEW entry_document AS
SELECT 'artist' AS kind, a.id, a.name AS title, (SELECT count(*) FROM album b WHERE b.artist_id = a.id) AS weight FROM artist a
UNION ALL
SELECT 'album', b.id, b.title, (SELECT count(*) FROM track t WHERE t.album_id = b.id) FROM album b
UNION ALL
SELECT 'list', p.id, p.name || coalesce(' by ' || u.name, ''), (SELECT count(*) FROM playlist_track x WHERE x.playlist_id = p.id)
  FROM playlist p LEFT JOIN buyer u ON u.id = p.owner_id WHERE p.public;

-- The ten first pieces of a public list; lists without any are not shown.
CREATE VIEW playlist_document AS
SELECT p.id, p.name, first.pieces
  FROM playlist p
  CROSS JOIN LATERAL (
       SELECT jsonb_agg(jsonb_build_object('n', n, 'title', title) ORDER BY n) AS pieces
         FROM (SELECT row_number() OVER (ORDER BY x.place) AS n, t.title FROM playlist_track x JOIN track t ON t.id = x.track_id
                WHERE x.playlist_id = p.id ORDER BY x.place LIMIT 10) q) first
 WHERE p.public AND EXISTS (SELECT FROM playlist_track y WHERE y.playlist_id = p.id);
