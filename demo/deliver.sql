-- From the view to the index. psql variable: url, where the search server is.
CREATE EXTENSION pg_conveyor;

-- The agent needs this role and no more.
CREATE ROLE shop_agent LOGIN IN ROLE conveyor_agent;

-- Which changes of which tables touch which documents follows from the view: SELECT * FROM conveyor.explain_feed('orders') tells.
SELECT conveyor.create_feed('orders', 'shop.order_document');

SELECT conveyor.create_target('search', 'elasticsearch', jsonb_build_object('url', :'url'));
SELECT conveyor.create_delivery('orders_to_search', 'orders', 'search');
