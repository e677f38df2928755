-- 10,000 customers, 100,000 orders, 300,000 items. Always the same ones.
INSERT INTO shop.customers (id, name, city, email)
SELECT n,
       (ARRAY['Ada', 'Blaise', 'Carl', 'Dorothy', 'Emmy', 'Felix', 'Grace', 'Hedy', 'Ivar', 'Joan'])[1 + n % 10] || ' '
           || (ARRAY['Lindqvist', 'Moreau', 'Nakamura', 'Okafor', 'Petrova', 'Quispe', 'Rossi', 'Schmidt'])[1 + n / 10 % 8],
       (ARRAY['Lisbon', 'Oslo', 'Paris', 'Prague', 'Rome', 'Vienna', 'Zürich'])[1 + n % 7],
       'customer' || n || '@example.org'
  FROM generate_series(1, 10000) n;

INSERT INTO shop.orders (id, customer_id, status, placed_at, note)
SELECT n,
       1 + n * 7919::bigint % 10000,
       (ARRAY['new', 'paid', 'shipped', 'returned'])[1 + n % 4],
       timestamptz '2026-01-01 08:00+00' + n * interval '37 seconds',
       CASE WHEN n % 5 = 0 THEN 'please leave parcel ' || n || ' with the neighbours' END
  FROM generate_series(1, 100000) n;

INSERT INTO shop.items (order_id, product, quantity, price)
SELECT 1 + n % 100000,
       (ARRAY['teapot', 'lamp', 'bicycle bell', 'notebook', 'umbrella', 'compass'])[1 + n * 31::bigint % 6],
       1 + n % 4,
       5 + n * 17::bigint % 9000 / 100.0
  FROM generate_series(1, 300000) n;

SELECT setval(pg_get_serial_sequence('shop.customers', 'id'), 10000),
       setval(pg_get_serial_sequence('shop.orders', 'id'), 100000)
\g (format=unaligned tuples_only=on) /dev/null
VACUUM ANALYZE;
