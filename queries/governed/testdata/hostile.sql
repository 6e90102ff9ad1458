-- Statements that must be refused, or do no harm: each ends at a line that holds ";;" alone. The list only grows.
-- Files of the server
SELECT file('/etc/hostname')
;;
SELECT FILE('/etc/hostname')
;;
SELECT `file`('/etc/hostname')
;;
SELECT "file"('/etc/hostname')
;;
SELECT file/**/('/etc/hostname')
;;
SELECT concat(file('/etc/passwd'), '')
;;
SELECT arrayMap(x -> file(x), ['/etc/hostname'])
;;
SELECT * FROM file('/etc/passwd', 'LineAsString')
;;
SELECT * FROM file('/etc/passwd', LineAsString)
;;
SELECT * FROM `file`('/etc/passwd', 'CSV', 'a String')
;;
SELECT count() FROM services WHERE name_uz = file('/etc/hostname')
;;
SELECT * FROM numbers(length(file('/etc/hostname')))
;;
SELECT * FROM numbers(3) LIMIT length(file('/etc/hostname'))
;;
SELECT * FROM fileCluster('default', '/etc/passwd', 'LineAsString')
;;
SELECT * FROM filesystem('/etc')
;;
SELECT filesystemAvailable()
;;
SELECT catboostEvaluate('/etc/passwd', 1)
;;
DESCRIBE TABLE file('/etc/passwd', 'CSV')
;;
DESCRIBE file('/etc/passwd')
;;
DESC (SELECT file('/etc/hostname'))
;;
DESCRIBE TABLE url('http://127.0.0.1:1/', 'CSV')
;;
EXISTS TABLE file('/etc/passwd')
;;
SHOW CREATE TABLE file('/etc/passwd')
;;
SELECT * FROM sqlite('/etc/passwd', 'x')
;;
SELECT * FROM format('LineAsString', file('/etc/hostname'))
;;
SELECT * FROM input('a String')
;;
SELECT * FROM executable('id', 'TSV', 'a String')
;;
SELECT * FROM deltaLakeLocal('/etc')
;;
SELECT * FROM icebergLocal('/etc')
;;
SELECT 1 INTO OUTFILE '/tmp/ombor-hostile'
;;
SELECT 1 INTO OUTFILE '/tmp/ombor-hostile' FORMAT CSV
;;
SELECT 1 INTO/**/OUTFILE '/tmp/ombor-hostile' APPEND
;;
SELECT 1 INTO OUTFILE '/tmp/ombor-hostile' TRUNCATE COMPRESSION 'gzip'
;;
EXPLAIN SELECT 1 INTO OUTFILE '/tmp/ombor-hostile'
;;
INSERT INTO FUNCTION file('/tmp/ombor-hostile', 'CSV', 'a UInt8') VALUES (1)
;;
INSERT INTO services FROM INFILE '/etc/passwd' FORMAT CSV
;;
-- Other machines
SELECT * FROM url('http://169.254.169.254/latest/meta-data', 'LineAsString')
;;
SELECT * FROM url('file:///etc/passwd', 'LineAsString')
;;
SELECT * FROM urlCluster('default', 'http://127.0.0.1:1/', 'CSV')
;;
SELECT * FROM s3('http://127.0.0.1:1/b/k', 'CSV')
;;
SELECT * FROM s3Cluster('default', 'http://127.0.0.1:1/b/k', 'CSV')
;;
SELECT * FROM gcs('http://127.0.0.1:1/b/k', 'CSV')
;;
SELECT * FROM azureBlobStorage('x', 'y', 'z')
;;
SELECT * FROM hdfs('hdfs://127.0.0.1:1/x', 'CSV', 'a String')
;;
SELECT * FROM remote('127.0.0.1', 'facts', 'request_submitted_v1')
;;
SELECT * FROM remote('127.0.0.1', facts.request_submitted_v1)
;;
SELECT * FROM remoteSecure('127.0.0.1', system.one)
;;
SELECT * FROM cluster('default', system.processes)
;;
SELECT * FROM clusterAllReplicas('default', facts.request_submitted_v1)
;;
SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')
;;
SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')
;;
SELECT * FROM mongodb('127.0.0.1:1', 'a', 'b', 'c', 'd', 'e String')
;;
SELECT * FROM redis('127.0.0.1:1', 'k', 'k String')
;;
SELECT * FROM odbc('DSN=x', 'y')
;;
SELECT * FROM jdbc('x', 'y')
;;
SELECT * FROM ytsaurus('http://127.0.0.1:1', '//x', '', 'a String')
;;
SELECT aiGenerate('x', 'y')
;;
SELECT AIClassify('x', ['y'])
;;
-- Past the views
SELECT * FROM facts.request_submitted_v1
;;
SELECT * FROM `facts`.`request_submitted_v1`
;;
SELECT * FROM "facts"."request_submitted_v1"
;;
SELECT * FROM facts . request_submitted_v1
;;
SELECT * FROM facts./* */request_submitted_v1
;;
SELECT * FROM `facts.request_submitted_v1`
;;
FROM facts.request_submitted_v1 SELECT *
;;
(SELECT * FROM facts.request_submitted_v1)
;;
SELECT 1 UNION ALL SELECT count() FROM facts.request_submitted_v1
;;
SELECT 1 EXCEPT SELECT count() FROM facts.request_submitted_v1
;;
SELECT 1 INTERSECT SELECT count() FROM facts.request_submitted_v1
;;
SELECT (SELECT count() FROM facts.request_submitted_v1)
;;
SELECT 1 WHERE 1 IN (SELECT count() FROM facts.request_submitted_v1)
;;
SELECT 'x' IN facts.request_submitted_v1
;;
SELECT 'x' IN (facts.request_submitted_v1)
;;
SELECT in('x', facts.request_submitted_v1)
;;
SELECT 'x' GLOBAL NOT IN facts.request_submitted_v1
;;
SELECT nullIn('x', facts.request_submitted_v1)
;;
SELECT inIgnoreSet('x', facts.request_submitted_v1)
;;
SELECT EXISTS(SELECT 1 FROM facts.request_submitted_v1)
;;
SELECT count() FROM services AS s JOIN facts.request_submitted_v1 AS f ON f.service = s.code
;;
SELECT count() FROM services ANY LEFT JOIN facts.request_submitted_v1 USING code
;;
SELECT * FROM services, facts.request_submitted_v1
;;
WITH a AS (SELECT * FROM facts.request_submitted_v1) SELECT count() FROM a
;;
WITH RECURSIVE a AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM a, facts.request_submitted_v1) SELECT * FROM a
;;
WITH `facts.request_submitted_v1` AS (SELECT 1) SELECT * FROM `facts.request_submitted_v1`
;;
WITH facts AS (SELECT 1) SELECT * FROM facts.request_submitted_v1
;;
SELECT * FROM services AS facts, facts.request_submitted_v1 AS services
;;
SELECT * FROM view(SELECT * FROM facts.request_submitted_v1)
;;
SELECT * FROM viewIfPermitted(SELECT * FROM facts.request_submitted_v1 ELSE null('a UInt8'))
;;
SELECT * FROM viewExplain('EXPLAIN', '', (SELECT * FROM facts.request_submitted_v1))
;;
SELECT * FROM (EXPLAIN SELECT * FROM facts.request_submitted_v1)
;;
SELECT * FROM merge('facts', '.*')
;;
SELECT * FROM merge(REGEXP('.*'), '.*')
;;
SELECT * FROM ombor.merge('facts', '.*')
;;
SELECT * FROM mergeTreeIndex('facts', 'request_submitted_v1')
;;
SELECT * FROM mergeTreeProjection('facts', 'request_submitted_v1', 'x')
;;
SELECT * FROM mergeTreeAnalyzeIndexes('facts', 'request_submitted_v1')
;;
SELECT * FROM loop(facts.request_submitted_v1)
;;
SELECT * FROM loop('facts', 'request_submitted_v1')
;;
SELECT * FROM dictionary('x')
;;
SELECT * FROM eval('SELECT 1')
;;
SELECT * FROM fuzzQuery('SELECT 1')
;;
SELECT * FROM timeSeriesData('facts.x')
;;
SELECT * FROM prometheusQuery('x', 'y', 'z')
;;
SELECT dictGet('facts.x', 'y', 1)
;;
SELECT dictHas('system.x', 1)
;;
SELECT joinGet('facts.x', 'y', 1)
;;
SELECT hasColumnInTable('facts', 'request_submitted_v1', '_sign')
;;
SELECT * FROM rollups.request_submitted_v1__time__
;;
SELECT * FROM meta.views
;;
SELECT facts.request_submitted_v1.agency FROM facts.request_submitted_v1
;;
SELECT COLUMNS('.*') FROM facts.request_submitted_v1
;;
SELECT * APPLY(file) FROM services
;;
SELECT * APPLY(x -> file(x)) FROM services
;;
SELECT * APPLY file FROM services
;;
SELECT COLUMNS('code') APPLY(x -> file(x)) FROM services
;;
SELECT services.* REPLACE(file('/etc/hostname') AS code) FROM services
;;
SELECT * EXCEPT(code) REPLACE(dictGet('x', 'y', 1) AS kind) FROM services
;;
SELECT * FROM {t:Identifier}
;;
SELECT {f:Identifier}('/etc/hostname')
;;
TABLE facts.request_submitted_v1
;;
-- Every clause
SELECT count() FROM services PREWHERE file('x') = '' WHERE 1
;;
SELECT count() FROM services GROUP BY file('x')
;;
SELECT count() FROM services GROUP BY GROUPING SETS ((code), (file('x')))
;;
SELECT count() FROM services HAVING file('x') = ''
;;
SELECT code FROM services QUALIFY file('x') = ''
;;
SELECT code FROM services ORDER BY file('x')
;;
SELECT code FROM services ORDER BY code WITH FILL FROM file('a') TO file('b') STEP file('c')
;;
SELECT code FROM services ORDER BY code WITH FILL INTERPOLATE (kind AS file('x'))
;;
SELECT code FROM services LIMIT 1 BY file('x')
;;
SELECT code FROM services LIMIT 1 OFFSET length(file('x'))
;;
SELECT TOP length(file('x')) code FROM services
;;
SELECT DISTINCT ON (file('x')) code FROM services
;;
SELECT count() OVER (PARTITION BY file('x') ORDER BY code) FROM services
;;
SELECT count() OVER (ORDER BY file('x')) FROM services
;;
SELECT count() OVER (ORDER BY code ROWS BETWEEN length(file('x')) PRECEDING AND CURRENT ROW) FROM services
;;
SELECT count() OVER w FROM services WINDOW w AS (PARTITION BY file('x'))
;;
SELECT count() FILTER (WHERE file('x') = '') FROM services
;;
SELECT quantile(length(file('x')))(1) FROM services
;;
SELECT 1 FROM services ARRAY JOIN [file('x')] AS y
;;
SELECT 1 FROM services AS a JOIN services AS b ON a.code = file('x')
;;
SELECT 1 FROM services SAMPLE length(file('x'))
;;
SELECT CASE file('x') WHEN 'a' THEN 1 ELSE 2 END
;;
SELECT CAST(file('x') AS String)
;;
SELECT file('x')::String
;;
SELECT EXTRACT(DAY FROM file('x'))
;;
SELECT TRIM(BOTH 'a' FROM file('x'))
;;
SELECT SUBSTRING(file('x') FROM 1 FOR 2)
;;
SELECT INTERVAL length(file('x')) DAY
;;
SELECT 1 BETWEEN 0 AND length(file('x'))
;;
SELECT [file('x')][1], (file('x'), 1).1, map('a', file('x'))['a']
;;
SELECT not file('x') = 'y' OR -length(file('x')) > 1
;;
SELECT 1 ? file('x') : 2
;;
WITH file('x') AS y SELECT y
;;
WITH (SELECT file('x')) AS y SELECT y
;;
SELECT * FROM values('a String', (file('x')))
;;
SELECT * FROM (VALUES (file('x')))
;;
SELECT DATE_ADD(DAY, length(file('x')), today())
;;
SELECT arrayReduce('sum', [length(file('x'))])
;;
SELECT sumIf(1, file('x') = '')
;;
-- Several statements, comments and other marks
SELECT 1; SELECT 2
;;
SELECT 1; DROP DATABASE facts
;;
SELECT 1;;;SELECT 2
;;
SELECT 1 /* ; */; -- x
DROP TABLE ombor.services
;;
SELECT 1 -- ;
; DROP TABLE ombor.services
;;
SELECT 1 /* /* */ ; DROP TABLE ombor.services
;;
SELECT 1 /* /* */ */ ; DROP TABLE ombor.services
;;
SELECT '\'; DROP TABLE ombor.services; --'; DROP TABLE ombor.services
;;
SELECT 'a''; DROP TABLE ombor.services; --'; DROP TABLE ombor.services
;;
SELECT "a\"; DROP TABLE ombor.services"; DROP TABLE ombor.services
;;
SELECT $a$ ; $a$; DROP TABLE ombor.services
;;
SELECT $ a $ x $ a $; DROP TABLE ombor.services
;;
SELECT $$ file $$
;;
SELECT 1\G DROP TABLE ombor.services
;;
SELECT 1 // file('x')
; DROP TABLE ombor.services
;;
SELECT 1 # comment
; DROP TABLE ombor.services
;;
SELECT 1 #! comment
; DROP TABLE ombor.services
;;
SELECT ‘x’; DROP TABLE ombor.services
;;
SELECT “file”(‘/etc/hostname’)
;;
SELECT file('/etc/hostname')
;;
SELECT file（'/etc/hostname'）
;;
SELECT 1 −− ; DROP TABLE ombor.services
;;
SELECT fіle('/etc/hostname')
;;
ＳＥＬＥＣＴ 1
;;
SELECT x'66696c65'('/etc/hostname')
;;
SELECT `a
      Function file` FROM services
;;
SELECT 1 AS `x (children 9)`
;;
SELECT 1 AS `x (alias y)`
;;
SELECT 1 AS "a`b"
;;
SELECT * FROM `services (children 1)`
;;
SELECT 'unclosed
;;
SELECT /* unclosed
;;
SELECT (1
;;
SELECT 1)
;;
SELECT (1]
;;
PARALLEL WITH SELECT 1 PARALLEL WITH DROP TABLE ombor.services
;;
SELECT 1 PARALLEL WITH SELECT 2
;;
BEGIN TRANSACTION
;;
EXECUTE AS default SELECT 1
;;
-- Settings in every position
SELECT 1 SETTINGS readonly = 0
;;
SELECT 1 SETTINGS additional_table_filters = {}
;;
SELECT 1 SETTINGS additional_table_filters = '{}'
;;
SELECT count() FROM request_submitted_v1 SETTINGS query_plan_enable_optimizations = 1
;;
SELECT 1 FORMAT CSV SETTINGS additional_table_filters = '{}'
;;
SELECT 1 SETTINGS max_execution_time = 0, additional_result_filter = '1' FORMAT CSV
;;
SELECT * FROM (SELECT * FROM services SETTINGS allow_ddl = 1, additional_table_filters = '{}')
;;
SELECT 1 SETTINGS `additional_table_filters` = '{}'
;;
SELECT 1 SETTINGS "readonly" = 0
;;
SELECT 1 /**/SETTINGS/**/additional_table_filters/**/='{}'
;;
SELECT 1 SETTINGS max_threads = 1, x = (SELECT file('x'))
;;
SELECT 1 SETTINGS param_x = 'file'
;;
SELECT 1 SETTINGS profile = 'default'
;;
SELECT 1 SETTINGS max_memory_usage = DEFAULT
;;
SELECT 1 SETTINGS format_schema = '/etc/passwd', max_threads = 1
;;
SELECT 1 SETTINGS output_format_schema = '/tmp/ombor-hostile'
;;
SELECT 1 SETTINGS dialect = 'kusto'
;;
SELECT 1 SETTINGS file_like_engine_default_partition_strategy = 'x'
;;
EXPLAIN SELECT 1 SETTINGS additional_table_filters = '{}'
;;
EXPLAIN additional_table_filters = 1 SELECT 1
;;
SET readonly = 0
;;
SET additional_table_filters = '{}'
;;
SET additional_table_filters = {}
;;
SET allow_introspection_functions = 1
;;
SET max_execution_time = 0; SELECT 1
;;
SET PROFILE default
;;
SET ROLE ALL
;;
SET DEFAULT ROLE ALL TO default
;;
SET TRANSACTION SNAPSHOT 1
;;
SELECT 1 FORMAT Template
;;
SELECT 1 FORMAT Protobuf SETTINGS format_schema = '/etc/passwd:x'
;;
SELECT 1 FORMAT CapnProto
;;
SELECT 1 FORMAT MySQLWire
;;
SELECT 1 FORMAT NoSuchFormat
;;
-- EXPLAIN, SHOW and their kin
EXPLAIN QUERY TREE SELECT file('/etc/hostname')
;;
EXPLAIN AST SELECT * FROM facts.request_submitted_v1
;;
EXPLAIN PLAN actions = 1 SELECT file('/etc/hostname')
;;
EXPLAIN SYNTAX SELECT * FROM facts.request_submitted_v1
;;
EXPLAIN PIPELINE SELECT * FROM facts.request_submitted_v1
;;
EXPLAIN ESTIMATE SELECT * FROM facts.request_submitted_v1
;;
EXPLAIN TABLE OVERRIDE mysql('', '', '', '', '')
;;
EXPLAIN CURRENT TRANSACTION
;;
EXPLAIN EXPLAIN SELECT file('x')
;;
EXPLAIN AST EXPLAIN SELECT file('x')
;;
EXPLAIN INSERT INTO services SELECT 1
;;
EXPLAIN DROP TABLE ombor.services
;;
SHOW TABLES FROM facts
;;
SHOW TABLES FROM system
;;
SHOW TABLES WHERE file('/etc/hostname') != ''
;;
SHOW DATABASES WHERE file('/etc/hostname') != ''
;;
SHOW CREATE TABLE facts.request_submitted_v1
;;
SHOW CREATE DATABASE facts
;;
SHOW CREATE USER default
;;
SHOW GRANTS
;;
SHOW ACCESS
;;
SHOW PROCESSLIST
;;
SHOW SETTINGS LIKE '%'
;;
SHOW COLUMNS FROM facts.request_submitted_v1
;;
SHOW INDEX FROM facts.request_submitted_v1
;;
SHOW FUNCTIONS
;;
SHOW DICTIONARIES
;;
SHOW CLUSTERS
;;
SHOW FILESYSTEM CACHES
;;
DESCRIBE facts.request_submitted_v1
;;
DESCRIBE TABLE `facts.request_submitted_v1`
;;
DESCRIBE (SELECT * FROM facts.request_submitted_v1)
;;
EXISTS facts.request_submitted_v1
;;
EXISTS DATABASE facts
;;
CHECK TABLE facts.request_submitted_v1
;;
WATCH ombor.services
;;
-- The engine's own tables
SELECT * FROM system.parts
;;
SELECT * FROM system.processes
;;
SELECT * FROM system.query_log
;;
SELECT * FROM system.server_settings
;;
SELECT * FROM system.stack_trace
;;
SELECT * FROM system.users
;;
SELECT * FROM system.grants
;;
SELECT * FROM system.build_options
;;
SELECT * FROM system.errors
;;
SELECT * FROM system.remote_data_paths
;;
SELECT * FROM system.detached_parts
;;
SELECT * FROM system.certificates
;;
SELECT * FROM system.backups
;;
SELECT * FROM system.completions
;;
SELECT * FROM `system`.`server_settings`
;;
SELECT * FROM SYSTEM.server_settings
;;
SELECT database, name FROM system.tables WHERE database != 'ombor'
;;
SELECT * FROM information_schema.tables WHERE table_schema = 'facts'
;;
SELECT * FROM INFORMATION_SCHEMA.COLUMNS WHERE table_schema = 'facts'
;;
SELECT a.name FROM system.tables AS a, system.tables AS b WHERE a.database = 'facts'
;;
WITH t AS (SELECT * FROM system.columns) SELECT * FROM t WHERE database = 'facts'
;;
SELECT create_table_query FROM system.tables WHERE database = 'facts' OR 1
;;
SELECT serverUUID(), hostName(), FQDN(), tcpPort(), uptime()
;;
SELECT getSetting('additional_table_filters')
;;
SELECT getServerSetting('path')
;;
SELECT getMacro('x')
;;
SELECT globalVariable('x')
;;
SELECT @@hostname
;;
SELECT getClientHTTPHeader('Authorization')
;;
SELECT showCertificate()
;;
SELECT addressToSymbol(1), demangle('x')
;;
SELECT logTrace('x')
;;
SELECT transactionID()
;;
SELECT zookeeperSessionUptime()
;;
SELECT __actionName('x')
;;
SELECT generateSerialID('x')
;;
SELECT structureToProtobufSchema('a UInt8')
;;
SELECT formatRow('CSV', 1)
;;
USE system
;;
USE facts
;;
-- Changing things
KILL QUERY WHERE 1
;;
KILL QUERY WHERE user = 'default'
;;
KILL QUERY WHERE query_id != ''
;;
KILL QUERY WHERE query_id = 'not mine' OR 1
;;
KILL QUERY WHERE query_id IN (SELECT query_id FROM system.processes) SYNC
;;
KILL MUTATION WHERE 1
;;
CREATE DATABASE x
;;
CREATE TABLE ombor.x (a UInt8) ENGINE = Memory
;;
CREATE TEMPORARY TABLE x (a UInt8)
;;
CREATE TABLE x ENGINE = File(CSV, '/etc/passwd')
;;
CREATE OR REPLACE VIEW ombor.services AS SELECT 1
;;
CREATE MATERIALIZED VIEW ombor.x ENGINE = Memory AS SELECT 1
;;
CREATE FUNCTION x AS (a) -> file(a)
;;
CREATE USER x
;;
CREATE ROW POLICY x ON ombor.services USING 1
;;
CREATE NAMED COLLECTION x AS a = 'b'
;;
CREATE DICTIONARY x (a UInt64) PRIMARY KEY a SOURCE(FILE(path '/etc/passwd' format 'CSV')) LAYOUT(FLAT()) LIFETIME(0)
;;
ALTER TABLE ombor.services DELETE WHERE 1
;;
ALTER TABLE facts.request_submitted_v1 UPDATE agency = 'x' WHERE 1
;;
DELETE FROM ombor.services WHERE 1
;;
UPDATE ombor.services SET kind = 'x' WHERE 1
;;
INSERT INTO ombor.services SELECT * FROM ombor.services
;;
INSERT INTO ombor.services (code) VALUES ('x')
;;
WITH x AS (SELECT 1) INSERT INTO ombor.services SELECT * FROM x
;;
DROP TABLE ombor.services
;;
DROP DATABASE facts SYNC
;;
UNDROP TABLE facts.x
;;
TRUNCATE TABLE ombor.services
;;
RENAME TABLE ombor.services TO ombor.x
;;
EXCHANGE TABLES ombor.services AND ombor.regions
;;
DETACH TABLE ombor.services
;;
ATTACH TABLE ombor.services
;;
OPTIMIZE TABLE ombor.services FINAL
;;
SYSTEM SHUTDOWN
;;
SYSTEM KILL
;;
SYSTEM RELOAD CONFIG
;;
SYSTEM STOP MERGES
;;
GRANT ALL ON *.* TO default
;;
REVOKE ALL ON *.* FROM default
;;
BACKUP DATABASE facts TO File('/tmp/ombor-hostile')
;;
RESTORE DATABASE facts FROM File('/tmp/ombor-hostile')
;;
MOVE ROLE x TO y
;;
COPY services TO '/tmp/ombor-hostile'
;;
-- Around the rows of an agency
SELECT agency FROM request_submitted_v1 WHERE agency != 'ministry-of-justice'
;;
SELECT uniq(agency) FROM ombor.request_submitted_v1 AS request_submitted_v1
;;
WITH request_submitted_v1 AS (SELECT * FROM ombor.request_submitted_v1) SELECT DISTINCT agency FROM request_submitted_v1
;;
SELECT agency FROM (SELECT * FROM request_submitted_v1 UNION ALL SELECT * FROM request_submitted_v1)
;;
SELECT a.agency FROM request_submitted_v1 AS a RIGHT JOIN request_submitted_v1 AS b ON a.agency = b.agency
;;
SELECT count() FROM request_submitted_v1 WHERE throwIf(agency != 'ministry-of-justice')
;;
SELECT count() FROM request_submitted_v1 WHERE intDiv(1, agency = 'ministry-of-justice') = 1
;;
SELECT count() FROM request_submitted_v1 AS a JOIN services AS b ON a.service = b.code AND intDiv(1, a.agency = 'ministry-of-justice') = 1
;;
SELECT count() FROM request_submitted_v1 PREWHERE intDiv(1, agency = 'ministry-of-justice') = 1
;;
SELECT sum(if(agency = 'ministry-of-justice', 0, toUInt8('x'))) FROM request_submitted_v1
;;
SELECT count() FROM services WHERE code IN (SELECT service FROM request_submitted_v1 WHERE toUInt8(if(agency = 'ministry-of-justice', '1', 'x')) = 1)
;;
SELECT sleep(3)
;;
SELECT sleepEachRow(1) FROM numbers(100)
;;
SELECT if(agency = 'x', sleep(1), 0) FROM request_submitted_v1
;;
SELECT applicant, count() FROM request_submitted_v1 GROUP BY applicant HAVING count() = 1 LIMIT 1
;;
SELECT max(_seq), min(_seq) FROM request_submitted_v1
;;
SELECT * FROM request_submitted_v1 FINAL SAMPLE 1
;;
SELECT _part, _path, _file, _table, _database FROM services
;;
-- Endless and hungry
SELECT count() FROM numbers(1000000000000)
;;
SELECT count() FROM system.numbers
;;
SELECT sum(cityHash64(number)) FROM system.numbers_mt
;;
SELECT sum(a.number * b.number) FROM numbers(1000000) AS a, numbers(1000000) AS b
;;
SELECT groupArray(number) FROM numbers(1000000000)
;;
SELECT uniqExact(number) FROM numbers(100000000000)
;;
SELECT repeat('x', 1000000000)
;;
SELECT length(repeat(repeat('x', 1000000), 1000000))
;;
SELECT arrayJoin(range(1000000000))
;;
SELECT range(10000000) FROM numbers(100)
;;
SELECT arrayFold((a, x) -> arrayConcat(a, a), range(40), [1])
;;
SELECT number FROM numbers(100000000) ORDER BY cityHash64(number)
;;
SELECT number, repeat('x', 1000) FROM numbers(100000000) ORDER BY 2 FORMAT Null
;;
SELECT a.number FROM numbers(100000000) AS a JOIN numbers(100000000) AS b USING number FORMAT Null
;;
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t
;;
WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t, t AS u) SELECT max(n) FROM t
;;
WITH a AS (SELECT 1), b AS (SELECT * FROM a, a), c AS (SELECT * FROM b, b), d AS (SELECT * FROM c, c), e AS (SELECT * FROM d, d), f AS (SELECT * FROM e, e), g AS (SELECT * FROM f, f), h AS (SELECT * FROM g, g), i AS (SELECT * FROM h, h), j AS (SELECT * FROM i, i), k AS (SELECT * FROM j, j), l AS (SELECT * FROM k, k), m AS (SELECT * FROM l, l), n AS (SELECT * FROM m, m), o AS (SELECT * FROM n, n), p AS (SELECT * FROM o, o), q AS (SELECT * FROM p, p) SELECT * FROM q
;;
WITH 1 + number AS a, a + a AS b, b + b AS c, c + c AS d, d + d AS e, e + e AS f, f + f AS g, g + g AS h, h + h AS i, i + i AS j, j + j AS k, k + k AS l, l + l AS m, m + m AS n, n + n AS o, o + o AS p, p + p AS q, q + q AS r SELECT r FROM numbers(1)
;;
SELECT * FROM generate_series(1, 1000000000000) FORMAT Null
;;
SELECT * FROM zeros(1000000000000) FORMAT Null
;;
SELECT match(repeat('a', 100000), '(a+)+(a+)+(a+)+b')
;;
SELECT replaceRegexpAll(repeat('a', 10000000), '', 'xxxxxxxxxx')
;;
SELECT factorial(1000), exp10(1000), intExp2(100)
;;
SELECT toDecimal256(1, 76) * toDecimal256(10, 75)
;;
SELECT randomString(1000000000)
;;
SELECT groupArray(randomString(1000000)) FROM numbers(100000)
;;
SELECT h3PolygonToCells([(0., 0.), (0., 80.), (170., 80.), (170., 0.)], 15)
;;
SELECT h3kRing(599686042433355775, toUInt16(60000))
;;
SELECT geohashesInBox(-180., -90., 180., 90., 12)
;;
SELECT arrayProduct(arrayMap(x -> arraySum(range(x)), range(100000)))
;;
SELECT bitmapBuild(range(100000000))
;;
SELECT quantileExact(number) FROM numbers(10000000000)
;;
SELECT number FROM numbers(10) ORDER BY number WITH FILL FROM 0 TO 1000000000000
;;
SELECT 1 AS x ORDER BY x WITH FILL TO 10000000000 FORMAT Null
;;
SELECT CAST(number AS Enum8('a' = 1)) FROM numbers(10)
;;
SELECT toFixedString('x', 1000000000)
;;
SELECT leftPad('x', 1000000000, 'y')
;;
SELECT * FROM values('a Array(UInt8)', range(100000000))
;;
SELECT ngrams(repeat('x', 100000000), 3)
;;
SELECT JSONExtract(repeat('[', 100000), 'Array(UInt8)')
;;
SELECT encrypt('aes-256-cbc', repeat('x', 100000000), 'y')
;;
-- An alias that is the whole name of another table: the condition on that one would take the place of the table's own
SELECT service, count() FROM request_submitted_v1 AS `ombor.diary_used_v1` GROUP BY service
;;
SELECT * FROM request_submitted_v1 `ombor.diary_used_v1`
;;
SELECT * FROM request_submitted_v1 AS "ombor.case_filed_v1"
;;
SELECT * FROM request_submitted_v1 AS `ombor.kpi_values`
;;
SELECT * FROM request_submitted_v1_ledger AS `ombor.request_submitted_v1`
;;
SELECT school FROM diary_used_v1 AS `ombor.case_filed_v1`
;;
SELECT school, 'mine' AS agency FROM diary_used_v1 AS `ombor.case_filed_v1`
;;
SELECT a.service FROM calendar AS c CROSS JOIN request_submitted_v1 AS `ombor.diary_used_v1` LIMIT 3
;;
SELECT ('portal', 'theirs') IN (request_submitted_v1 AS `ombor.diary_used_v1`)
;;
SELECT name FROM system.tables AS `system.databases`
;;
SELECT * FROM system.parts AS `system.columns`
;;
EXPLAIN QUERY TREE SELECT service FROM request_submitted_v1 AS `ombor.diary_used_v1`
;;
WITH `ombor.diary_used_v1` AS (SELECT * FROM request_submitted_v1) SELECT service FROM `ombor.diary_used_v1`
;;
-- Names that a statement gives to something of its own in one place, and reads as a table in another
SELECT * FROM (WITH register_entered_v1 AS (SELECT 1) SELECT * FROM register_entered_v1) AS a, register_entered_v1
;;
SELECT 1 AS register_entered_v1, 2 FROM register_entered_v1
;;
SELECT (SELECT 1 AS register_entered_v1), 'x' IN register_entered_v1
;;
SELECT (SELECT 1 AS `ombor.register_entered_v1`), 'x' IN ombor.register_entered_v1
