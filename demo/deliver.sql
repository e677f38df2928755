-- From the view to the index. psql variable: url, where the search server is.
CREATE EXTENSION pg_conveyor;

-- The agent needs this role and no more.
CREATE ROLE shop_agent LOGIN IN ROLE conveyor_agent;

-- The table that the key comes from is watched by itself; create_feed() warns of the others, which follow at once.
SET client_min_messages = error;
SELECT conveyor.create_feed('orders', 'shop.order_document');
RESET client_min_messages;

-- Which changes of the others touch which documents: `changed` has the old and the new values of the columns named.
SELECT conveyor.add_watch('orders', 'shop.customers', '{id,name,city}',
                          'SELECT o.id FROM changed c JOIN shop.orders o ON o.customer_id = c.id');
SELECT conveyor.add_watch('orders', 'shop.items', '{id,order_id,product,quantity,price}', 'SELECT order_id FROM changed');

SELECT conveyor.create_target('search', 'elasticsearch', jsonb_build_object('url', :'url'));
SELECT conveyor.create_delivery('orders_to_search', 'orders', 'search');
