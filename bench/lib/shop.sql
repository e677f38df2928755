-- The shop that the deliveries are measured with. No index, trigger or type is there that such a shop would not have anyway.
CREATE SCHEMA shop;

CREATE TABLE shop.customers (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL,
    city text NOT NULL,
    tier text NOT NULL
);

CREATE TABLE shop.orders (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES shop.customers,
    status text NOT NULL,
    ordered_at timestamptz NOT NULL,
    total numeric(12, 2) NOT NULL,
    note text NOT NULL
);
CREATE INDEX ON shop.orders (customer_id);

CREATE TABLE shop.items (
    id bigint PRIMARY KEY,
    order_id bigint NOT NULL REFERENCES shop.orders,
    sku text NOT NULL,
    title text NOT NULL,
    quantity int NOT NULL,
    price numeric(10, 2) NOT NULL
);
CREATE INDEX ON shop.items (order_id);

CREATE VIEW shop.order_document AS
SELECT o.id, o.status, o.ordered_at, o.total, o.note,
       json_build_object('id', c.id, 'name', c.name, 'email', c.email, 'city', c.city, 'tier', c.tier) AS customer,
       array_to_json(ARRAY(
           SELECT json_build_object('id', i.id, 'sku', i.sku, 'title', i.title, 'quantity', i.quantity, 'price', i.price)
             FROM shop.items i WHERE i.order_id = o.id ORDER BY i.id)) AS items
  FROM shop.orders o
  JOIN shop.customers c ON c.id = o.customer_id;

CREATE FUNCTION shop.fill(orders bigint, customers bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO shop.customers
    SELECT n, 'Customer number ' || n, 'customer' || n || '@example.org',
           (ARRAY['Amsterdam', 'Berlin', 'Copenhagen', 'Dublin', 'Edinburgh'])[1 + n % 5],
           (ARRAY['bronze', 'silver', 'gold'])[1 + n % 3]
      FROM generate_series(1, customers) n;
    INSERT INTO shop.orders
    SELECT n, 1 + n % customers, (ARRAY['new', 'paid', 'packed', 'shipped'])[1 + n % 4],
           timestamptz '2025-01-01 00:00:00+00' + n * interval '37 seconds', (n % 50000) / 100.0,
           'please leave it with the neighbours at number ' || n % 97
      FROM generate_series(1, orders) n;
    INSERT INTO shop.items
    SELECT n, 1 + (n - 1) / 3, 'SKU-' || lpad((n % 99991)::text, 6, '0'), 'an article of some quality, number ' || n % 99991,
           1 + n % 5, (n % 10000) / 100.0
      FROM generate_series(1, orders * 3) n;
$$;
