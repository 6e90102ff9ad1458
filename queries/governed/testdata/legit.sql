-- What analysts and their tools ask, and must get: each ends at a line that holds ";;" alone.
SELECT 1
;;
select 1 as `a b`, 'it''s; not -- a comment' as "c"
;;
/* from a tool */ SELECT count() FROM request_submitted_v1; -- done
;;
SELECT version(), timezone(), currentUser(), currentDatabase(), now() > toDateTime('2020-01-01')
;;
SELECT agency, region, count() AS n, uniqExact(applicant) AS people FROM ombor.request_submitted_v1 GROUP BY agency, region ORDER BY n DESC LIMIT 10
;;
SELECT r.agency, s.name_uz, count() FROM request_submitted_v1 AS r LEFT JOIN services AS s ON s.code = r.service GROUP BY ALL HAVING count() > 0 ORDER BY 3 DESC
;;
SELECT * FROM request_submitted_v1 AS a ASOF JOIN request_submitted_v1 AS b ON a.agency = b.agency AND a.time >= b.time LIMIT 1
;;
SELECT count() FROM request_submitted_v1 WHERE service IN (SELECT code FROM services) AND region NOT IN ('1', '2') AND _day BETWEEN '2024-01-01' AND '2030-01-01'
;;
SELECT tuple('a', 'b') IN (SELECT code, kind FROM services) SETTINGS max_threads = 1
;;
WITH per_day AS (SELECT _day, count() AS n FROM request_submitted_v1 GROUP BY _day) SELECT _day, n, avg(n) OVER (ORDER BY _day ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS week FROM per_day ORDER BY _day
;;
WITH toStartOfMonth(_day) AS month, (SELECT max(_day) FROM request_submitted_v1) AS newest SELECT month, count(), newest FROM request_submitted_v1 GROUP BY month
;;
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT sum(n) FROM t
;;
SELECT agency, row_number() OVER (PARTITION BY agency ORDER BY time) AS nr, lagInFrame(time) OVER w FROM request_submitted_v1 WINDOW w AS (PARTITION BY agency ORDER BY time) LIMIT 5
;;
SELECT agency FROM request_submitted_v1 QUALIFY row_number() OVER (PARTITION BY agency ORDER BY time) = 1
;;
SELECT arrayMap(x -> x * 2, [1, 2, 3]), arrayFilter((x, y) -> x > y, [1, 2], [2, 1]), arraySum(range(10)), [1, 2][1], (1, 'a').2, map('k', 1)['k'], tuple(1, 2)
;;
SELECT arrayJoin([1, 2]) AS x, x + 1
;;
SELECT code, part FROM services ARRAY JOIN splitByChar('-', code) AS part LIMIT 5
;;
SELECT countIf(agency = 'a'), sumIf(1, region != ''), quantile(0.9)(toHour(time)), quantilesExact(0.5, 0.9)(toHour(time)), uniqState(applicant) AS s, groupArray(3)(service), argMax(service, time), topK(2)(service) FROM request_submitted_v1 FORMAT Null
;;
SELECT uniqMerge(s) FROM (SELECT uniqState(applicant) AS s FROM request_submitted_v1 GROUP BY agency)
;;
SELECT 1 UNION ALL SELECT 2 UNION DISTINCT SELECT 2 EXCEPT SELECT 3
;;
(SELECT 1) INTERSECT (SELECT 1)
;;
SELECT number, toDate('2024-01-01') + number AS d FROM numbers(10) WHERE number % 2 = 0
;;
SELECT * FROM generate_series(1, 10, 3)
;;
SELECT * FROM values('code String, n UInt32', ('a', 1), ('b', 2)) AS mine LEFT JOIN services USING code
;;
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t
;;
SELECT CASE WHEN region = '1718' THEN 'Samarkand' ELSE 'elsewhere' END AS place, if(agency = '', NULL, agency), coalesce(NULL, 1), multiIf(1, 2, 3) FROM request_submitted_v1 LIMIT 1
;;
SELECT CAST('2024-01-01' AS Date), '1'::UInt8, toString(1), toDecimal64('1.5', 2), DATE '2024-01-01', INTERVAL 1 DAY + DATE '2024-01-01', EXTRACT(YEAR FROM DATE '2024-01-01'), TRIM(BOTH 'x' FROM 'xax'), SUBSTRING('abc' FROM 2 FOR 1)
;;
SELECT * EXCEPT (name_uz), COLUMNS('^a') FROM services LIMIT 1
;;
SELECT * REPLACE (upper(code) AS code) FROM services LIMIT 1
;;
SELECT toStartOfMonth(_day) AS month, count() FROM request_submitted_v1 GROUP BY month ORDER BY month WITH FILL STEP toIntervalMonth(1)
;;
SELECT agency, region, count() FROM request_submitted_v1 GROUP BY ROLLUP(agency, region)
;;
SELECT agency, region, grouping(agency), count() FROM request_submitted_v1 GROUP BY GROUPING SETS ((agency), (region))
;;
SELECT agency, count() FROM request_submitted_v1 GROUP BY agency WITH TOTALS
;;
SELECT DISTINCT ON (agency) agency, service FROM request_submitted_v1 ORDER BY agency, time
;;
SELECT agency, service FROM request_submitted_v1 ORDER BY time LIMIT 2 BY agency LIMIT 10 OFFSET 0
;;
SELECT match(service, '^[a-z]'), service LIKE 'a%', service ILIKE 'A%', extract(service, '[a-z]+'), position(service, 'a'), replaceRegexpOne(service, 'a', 'b') FROM request_submitted_v1 LIMIT 1
;;
SELECT count() FILTER (WHERE region != '') FROM request_submitted_v1
;;
SELECT exists(SELECT 1 FROM services), (SELECT count() FROM services) AS n
;;
SELECT sum(_sign), sumIf(_sign, _cut <= '2024-03-01') FROM request_submitted_v1_ledger
;;
SELECT s.code FROM services_history AS s WHERE s.valid_to IS NULL OR s.valid_to >= today()
;;
SELECT c.month, count() FROM calendar AS c INNER JOIN request_submitted_v1 AS r ON r._day = c.day GROUP BY c.month
;;
SELECT kpi, value FROM kpi_values WHERE state != 'suppressed' LIMIT 1
;;
SELECT * FROM `ombor`.`services` LIMIT 1 FORMAT JSONEachRow
;;
SELECT 1 FORMAT JSON SETTINGS output_format_json_quote_64bit_integers = 0
;;
SELECT 1 SETTINGS max_execution_time = 5, max_block_size = 1000, log_queries = 0 FORMAT CSVWithNames
;;
EXPLAIN SELECT count() FROM request_submitted_v1
;;
EXPLAIN indexes = 1, actions = 1 SELECT count() FROM request_submitted_v1 WHERE _day > '2024-01-01'
;;
EXPLAIN ESTIMATE SELECT count() FROM request_submitted_v1
;;
EXPLAIN SYNTAX SELECT 1
;;
EXPLAIN QUERY TREE SELECT 1
;;
SHOW TABLES
;;
SHOW TABLES FROM ombor LIKE '%request%'
;;
SHOW DATABASES
;;
DESCRIBE TABLE ombor.services
;;
DESC services
;;
DESCRIBE `ombor`.`request_submitted_v1` FORMAT JSON
;;
EXISTS TABLE ombor.services
;;
SHOW CREATE TABLE ombor.services
;;
USE ombor
;;
USE `default`
;;
SET max_threads = 4, join_use_nulls = 1
;;
KILL QUERY WHERE query_id = 'none' ASYNC
;;
SELECT name, engine, comment FROM system.tables WHERE database = 'ombor'
;;
SELECT name, type, comment, default_kind FROM system.columns WHERE database = 'ombor' AND table = 'services' ORDER BY position
;;
SELECT name, value, changed, description, type, readonly FROM system.settings WHERE name LIKE 'max_%' LIMIT 3
;;
SELECT name FROM system.databases
;;
SELECT name, is_aggregate FROM system.functions LIMIT 3
;;
SELECT table_schema, table_name FROM information_schema.tables
;;
SELECT 1 FROM system.one
;;
SELECT count() FROM system.dictionaries
;;
SELECT toTypeName(applicant), isNull(applicant), assumeNotNull(applicant), hex(applicant), length(toString(applicant)) FROM request_submitted_v1 LIMIT 1
;;
SELECT formatDateTime(time, '%Y-%m'), dateDiff('day', time, now()), toISOWeek(_day), dateTrunc('quarter', _day), toTimeZone(time, 'UTC') FROM request_submitted_v1 LIMIT 1
;;
SELECT JSONExtractString('{"a": "b"}', 'a'), base64Encode('x'), lower(hex(SHA256('x'))), cityHash64('x'), generateUUIDv4() != toUUID('00000000-0000-0000-0000-000000000000')
;;
SELECT simpleLinearRegression(toHour(time), 1), corr(toHour(time), 2), stddevPop(toHour(time)), entropy(service), sequenceMatch('(?1)(?2)')(toDateTime(time), agency = 'a', agency = 'b'), windowFunnel(10)(toDateTime(time), agency = 'a'), retention(agency = 'a', agency = 'b') FROM request_submitted_v1
