-- The first statements of tools, as they stand in their sources, with what each needs to hear.
-- A line of ## begins a tool and says where the statements were seen; & are parameters of the
-- address, : headers that it sends with each; ~ is a pattern that the answer has, asked for as
-- TSVWithNames where the tool names no format.
-- Question marks are filled in as the tool does.

-- ## clickhouse-java 0.9.8 (client-v2 and jdbc-v2: DBeaver, Metabase, DataGrip, Spark)
-- client-v2 Client.java, jdbc-v2 ConnectionImpl.java and metadata/DatabaseMetaDataImpl.java; it sends compress=1 and reads RowBinary
-- & compress=1&async_insert=0&wait_end_of_query=0
-- : X-ClickHouse-Format: RowBinaryWithNamesAndTypes
-- : X-ClickHouse-Database: ombor
-- ~ ^user\ttimezone\tversion\n.+\tUTC\t\d+\.\d+\.
SELECT currentUser() AS user, timezone() AS timezone, version() AS version LIMIT 1

-- ~ ^1\n$
SELECT 1 FORMAT TabSeparated

-- ~ server_version
SELECT version() as server_version

-- ~ TABLE_SCHEM.*TABLE_CATALOG.*ombor
SELECT name AS TABLE_SCHEM, '' AS TABLE_CATALOG FROM system.databases ORDER BY name

-- ~ TABLE_CAT
SELECT 'local' AS TABLE_CAT  WHERE 1 = 0

-- ~ TABLE_TYPE.*VIEW
SELECT arrayJoin(['DICTIONARY','LOG TABLE','MATERIALIZED VIEW','MEMORY TABLE','REMOTE TABLE','SYSTEM TABLE','TABLE','TEMPORARY TABLE','VIEW']) AS TABLE_TYPE ORDER BY TABLE_TYPE

-- ~ TABLE_NAME.*request_decided_v1.*View
SELECT '' AS TABLE_CAT, t.database AS TABLE_SCHEM, t.name AS TABLE_NAME, if(t.is_temporary = 1, concat('Temporary', t.engine), t.engine) AS TABLE_TYPE, t.comment AS REMARKS, CAST(null as Nullable(String)) AS TYPE_CAT, d.engine AS TYPE_SCHEM, CAST(null as Nullable(String)) AS TYPE_NAME, CAST(null as Nullable(String)) AS SELF_REFERENCING_COL_NAME, CAST(null as Nullable(String)) AS REF_GENERATION FROM system.tables t JOIN system.databases d ON system.tables.database = system.databases.name WHERE t.database LIKE '%' AND t.name LIKE '%' AND ( (t.engine IN ('View','LiveView','MergeTree','Memory')) OR (t.engine NOT IN ('View','LiveView','MergeTree','Memory') AND NOT t.engine LIKE 'System%' AND NOT t.engine LIKE 'Async%' AND t.is_temporary = 0)) AND (t.is_temporary = 0)

-- ~ COLUMN_NAME.*working_days.*UInt32
SELECT '' AS TABLE_CAT, database AS TABLE_SCHEM, table AS TABLE_NAME, name AS COLUMN_NAME, toInt32(1111) AS DATA_TYPE, type AS TYPE_NAME, toInt32(multiIf(character_octet_length IS NOT NULL, character_octet_length, system.columns.type == 'Bool', 1, system.columns.type == 'Date', 2, system.columns.type == 'UInt64', 8, numeric_precision IS NOT NULL, numeric_precision, 0)) AS COLUMN_SIZE, toInt32(0) AS BUFFER_LENGTH, toInt32(IF (numeric_scale == 0, NULL, numeric_scale)) as DECIMAL_DIGITS,  toInt32(numeric_precision_radix) AS NUM_PREC_RADIX, toInt32(position(type, 'Nullable(') >= 1 ?1 : 0) as NULLABLE, system.columns.comment AS REMARKS, system.columns.default_expression AS COLUMN_DEF, toInt32(0) AS SQL_DATA_TYPE, toInt32(0) AS SQL_DATETIME_SUB, character_octet_length::Nullable(Int32) AS CHAR_OCTET_LENGTH, toInt32(system.columns.position) AS ORDINAL_POSITION, position(upper(type), 'NULLABLE') >= 1 ? 'YES' : 'NO' AS IS_NULLABLE,CAST(NULL as Nullable(String)) AS SCOPE_CATALOG, CAST(NULL as Nullable(String)) AS SCOPE_SCHEMA, CAST(NULL as Nullable(String)) AS SCOPE_TABLE, CAST(NULL as Nullable(Int16)) AS SOURCE_DATA_TYPE, 'NO' as IS_AUTOINCREMENT, 'NO' as IS_GENERATEDCOLUMN  FROM system.columns WHERE database LIKE 'ombor' AND table LIKE 'calendar' AND name LIKE '%' ORDER BY TABLE_SCHEM, TABLE_NAME, ORDINAL_POSITION

-- ~ KEY_SEQ
SELECT NULL::Nullable(String) AS TABLE_CAT, system.tables.database AS TABLE_SCHEM, system.tables.name AS TABLE_NAME, trim(c.1) AS COLUMN_NAME, CAST(c.2 AS Int16) AS KEY_SEQ, 'PRIMARY' AS PK_NAME FROM system.tables ARRAY JOIN arrayZip(splitByChar(',', primary_key), arrayEnumerate(splitByChar(',', primary_key))) as c WHERE system.tables.primary_key <> '' AND system.tables.database ILIKE 'ombor' AND system.tables.name ILIKE 'calendar' ORDER BY COLUMN_NAME

-- ~ DEFERRABILITY
SELECT CAST(NULL as Nullable(String)) AS PKTABLE_CAT, CAST(NULL as Nullable(String)) AS PKTABLE_SCHEM, CAST(NULL as Nullable(String)) AS PKTABLE_NAME, CAST(NULL as Nullable(String)) AS PKCOLUMN_NAME, CAST(NULL as Nullable(String)) AS FKTABLE_CAT, CAST(NULL as Nullable(String)) AS FKTABLE_SCHEM, CAST(NULL as Nullable(String)) AS FKTABLE_NAME, CAST(NULL as Nullable(String)) AS FKCOLUMN_NAME, CAST(NULL as Nullable(Int16)) AS KEY_SEQ, CAST(NULL as Nullable(Int16)) AS UPDATE_RULE, CAST(NULL as Nullable(Int16)) AS DELETE_RULE, CAST(NULL as Nullable(String)) AS FK_NAME, CAST(NULL as Nullable(String)) AS PK_NAME, CAST(NULL as Nullable(Int16)) AS DEFERRABILITY LIMIT 0

-- ~ LOCAL_TYPE_NAME.*DateTime64
SELECT name AS TYPE_NAME, CAST(0 as Int32) AS DATA_TYPE, CAST(attrs.c2 AS Nullable(Int32)) AS PRECISION, CAST(NULL as Nullable(String)) AS LITERAL_PREFIX, CAST(NULL as Nullable(String)) AS LITERAL_SUFFIX, CAST(NULL as Nullable(String)) AS CREATE_PARAMS, CAST(0 AS Int16) AS NULLABLE, CAST(not(dt.case_insensitive) AS Boolean) AS CASE_SENSITIVE, 3::Int16 AS SEARCHABLE, CAST( not(attrs.c3) AS Boolean) AS UNSIGNED_ATTRIBUTE, false AS FIXED_PREC_SCALE, false AS AUTO_INCREMENT, if(empty(alias_to), name, alias_to) AS LOCAL_TYPE_NAME, CAST(attrs.c4 AS Nullable(Int16)) AS MINIMUM_SCALE, CAST(attrs.c5 AS Nullable(Int16)) AS MAXIMUM_SCALE, CAST(0 AS Nullable(Int32)) AS SQL_DATA_TYPE, CAST(0 AS Nullable(Int32)) AS SQL_DATETIME_SUB, CAST(0 AS Nullable(Int32)) AS NUM_PREC_RADIX FROM system.data_type_families dt  LEFT JOIN (SELECT * FROM VALUES ( ('Bool',1,true,0,0),('Date',10,false,0,0),('DateTime64',29,false,0,9),('String',0,false,0,0)) ) as attrs ON (dt.name = attrs.c1) WHERE alias_to == ''  ORDER BY name

-- ~ FUNCTION_NAME.*toIntervalHour
SELECT CAST(NULL as Nullable(String)) AS FUNCTION_CAT, CAST(NULL as Nullable(String)) AS FUNCTION_SCHEM, CAST(name as Nullable(String)) AS FUNCTION_NAME, concat(description, '(', origin, ')') AS REMARKS, CAST(0 AS Int16) AS FUNCTION_TYPE, name AS SPECIFIC_NAME FROM system.functions WHERE name LIKE '%'

-- ## DBeaver, sources of 2026 at 00675bb (org.jkiss.dbeaver.ext.clickhouse, over clickhouse-java)
-- model/ClickhouseDataSource.java, ClickhouseMetaModel.java, ClickhouseCatalog.java, ClickhouseTable.java, ClickhouseDataTypeCache.java; a session for each connection
-- & compress=1&session_id=sess_5fd0b9a2-2b7c-4d4b-bd0c-3a1f0b3f8d51
-- : X-ClickHouse-Format: RowBinaryWithNamesAndTypes
-- : X-ClickHouse-Database: ombor
-- ~ ^.*\d+\.\d+
SELECT VERSION()

-- ~ name.*MergeTree
SELECT name FROM system.table_engines

-- ~ ombor
SHOW DATABASES

-- ~ TABLE_NAME.*TABLE_TYPE.*TABLE_SCHEM.*REMARKS.*kpi_values
SELECT name as TABLE_NAME, engine as TABLE_TYPE, database as TABLE_SCHEM,comment as REMARKS, * FROM system.tables
WHERE database = 'ombor'

-- ~ latest_modification
select table,sum(bytes) as table_size, sum(rows) as table_rows, max(modification_time) as latest_modification,min(min_date) AS min_date,max(max_date) AS max_date FROM system.parts
WHERE database='ombor' AND active
GROUP BY table

-- ~ (?s)statement.*CREATE.*working_days
SHOW CREATE TABLE ombor.calendar

-- ~ TYPE_NAME.*TYPE_ALIAS
SELECT
    dt.name AS TYPE_NAME,
    dt.alias_to AS TYPE_ALIAS, -- in driver, it was if(empty(alias_to), name, alias_to) AS DATA_TYPE
    attrs.c2 AS PRECISION,
    NULL AS LITERAL_PREFIX,
    NULL AS LITERAL_SUFFIX,
    NULL AS CREATE_PARAMS,
    dt.name AS NULLABLE,
    not(dt.case_insensitive)::Boolean AS CASE_SENSITIVE,
    3 AS SEARCHABLE,
    not(attrs.c3)::Boolean AS UNSIGNED_ATTRIBUTE,
    false AS FIXED_PREC_SCALE,
    false AS AUTO_INCREMENT,
    dt.name AS LOCAL_TYPE_NAME,
    attrs.c4 AS MINIMUM_SCALE,
    attrs.c5 AS MAXIMUM_SCALE,
    attrs.c6 AS DATA_TYPE, -- it's our attribute with data kind information
    0 AS SQL_DATETIME_SUB,
    0 AS NUM_PREC_RADIX
FROM system.data_type_families dt
LEFT JOIN (select 'Bool' as c1,1 as c2,true as c3,0 as c4,0 as c5,16 as c6 UNION ALL select 'Date',10,false,0,0,91
) as attrs ON (dt.name = attrs.c1 or dt.alias_to = attrs.c1)

-- ~ ^$
KILL QUERY WHERE query_id='2f6a7a52-8f29-4f1c-8a24-3d6a6c1d8f00'

-- ~ ^$
SET readonly=1

-- ## clickhouse-connect 1.7.2 (Python, pandas, Superset's clickhousedb://)
-- driver/_backend/orchestration.py, http_sync.py, httpcommon.py, cc_sqlalchemy/dialect.py, inspector.py; it reads Native
-- & wait_end_of_query=1&send_progress_in_http_headers=1&http_headers_progress_interval_ms=120000&date_time_input_format=best_effort&cast_string_to_dynamic_use_inference=1&cancel_http_readonly_queries_on_client_close=1&enable_http_compression=1&session_id=0a1b2c3d-0000-4000-8000-000000000001&database=ombor
-- : Accept-Encoding: gzip
-- ~ \d+\.\d+\.\d+.*\tUTC
SELECT version(), timezone()

-- ~ name.*value.*readonly.*max_block_size
SELECT name, value, readonly FROM system.settings LIMIT 10000
 FORMAT Native

-- ~ check
SELECT 1 AS check
 FORMAT Native

-- ~ ombor
SELECT currentDatabase()
 FORMAT Native

-- ~ ombor
SHOW DATABASES
 FORMAT Native

-- ~ result
EXISTS DATABASE `ombor`
 FORMAT Native

-- ~ request_decided_v1
SHOW TABLES FROM `ombor`
 FORMAT Native

-- ~ result
EXISTS TABLE `ombor`.`calendar`
 FORMAT Native

-- ~ default_type.*working_days
DESCRIBE TABLE `ombor`.`calendar`
 FORMAT Native

-- ~ comment.*A row for each day
SELECT engine, engine_full, comment FROM system.tables WHERE database = 'ombor' AND name = 'calendar'
 FORMAT Native

-- ~ "name": "day"
SELECT * FROM (SELECT * FROM ombor.calendar) LIMIT 0
 FORMAT JSON

-- ## Superset, sources at 0500b4a (superset/db_engine_specs/clickhouse.py, over clickhouse-connect or clickhouse-sqlalchemy 0.3.2)
-- drivers/base.py and drivers/http/transport.py of clickhouse-sqlalchemy, which reads TabSeparatedWithNamesAndTypes
-- & default_format=TabSeparatedWithNamesAndTypes&distributed_ddl_task_timeout=180&database=ombor
-- ~ name\nString\n
SELECT name FROM system.functions UNION ALL SELECT name FROM system.table_functions LIMIT 10000

-- ~ name\nString\n
SELECT name FROM system.functions

-- ~ ^version\(\)\n
select version()

-- ~ kpi_values
SELECT name FROM system.tables WHERE engine LIKE '%View' AND database = 'ombor'

-- ~ calendar
SELECT name FROM system.tables WHERE engine NOT LIKE '%View' AND name NOT LIKE '.inner%' AND database = 'ombor'

-- ~ primary_key\nString\n\(?day
SELECT primary_key FROM system.tables WHERE database='ombor' AND name='calendar'

-- ~ engine_full
SELECT name, engine_full, engine, partition_key, sorting_key, primary_key, sampling_key FROM system.tables WHERE database = 'ombor' AND name = 'calendar'

-- ~ A row for each day
SELECT comment FROM system.tables WHERE database = 'ombor' AND name = 'calendar'

-- ~ result\nUInt8\n1
EXISTS TABLE ombor.calendar

-- ~ working_days\tUInt32
DESCRIBE TABLE ombor.calendar

-- ~ ^__timestamp\tcount\n
SELECT toStartOfMonth(toDateTime(`time`)) AS `__timestamp`, count(*) AS `count` FROM `ombor`.`request_decided_v1` WHERE `time` >= toDateTime('2024-01-01 00:00:00') AND `time` < toDateTime('2025-01-01 00:00:00') GROUP BY toStartOfMonth(toDateTime(`time`)) ORDER BY `count` DESC LIMIT 10000

-- ## Grafana's ClickHouse data source 4.20.0 (over clickhouse-go, HTTP with gzip)
-- pkg/plugin/driver.go, pkg/macros/macros.go, src/data/CHDatasource.ts, src/data/sqlGenerator.ts; the row limit of the data source is the setting limit
-- & default_format=Native&client_protocol_version=54460&database=ombor&enable_http_compression=1&max_execution_time=60&limit=1000000
-- : Accept-Encoding: gzip
-- ~ \d+\.\d+
SELECT version()

-- ~ ombor
SHOW DATABASES

-- ~ request_decided_v1
SHOW TABLES FROM "ombor"

-- ~ request_decided_v1
SHOW TABLES

-- ~ working_days
DESC TABLE "ombor"."calendar"

-- ~ name.*type.*table.*calendar
SELECT name, type, table FROM system.columns

-- ~ working_days
SELECT name, type, table FROM system.columns WHERE database IN ('ombor') AND table = 'calendar'

-- ~ outcome
SELECT DISTINCT `outcome` FROM `ombor`.`request_decided_v1` WHERE `outcome` IS NOT NULL LIMIT 1000

-- ~ time
SELECT toStartOfInterval(toDateTime("time"), INTERVAL 86400 second) as "time", count(*) FROM "ombor"."request_decided_v1" WHERE ( time >= toDateTime(1704067200) AND time <= toDateTime(1735689600) ) GROUP BY time ORDER BY time ASC LIMIT 1000

-- ~ ^time\tvalue\n
SELECT toDateTime(from) AS time, value FROM kpi_values WHERE latest AND kpi = 'on-time-share' AND grain = 'month' AND by = '' ORDER BY time

-- ## Metabase, sources at 02d40a0 (modules/drivers/clickhouse, over clickhouse-java with its metadata queries)
-- src/metabase/driver/clickhouse.clj, clickhouse_version.clj, clickhouse_introspection.clj; the probe of a table and the two questions are those of sql_jdbc
-- & compress=1&session_timezone=Asia/Tashkent&select_sequential_consistency=1
-- : X-ClickHouse-Format: RowBinaryWithNamesAndTypes
-- : X-ClickHouse-Database: ombor
-- ~ equals
SELECT value='1' FROM system.settings WHERE name='cloud_mode'

-- ~ ^equals.*\n1\n
SELECT count() = 0 FROM system.clusters WHERE is_local = 0

-- ~ ^greater.*\n1\n
SELECT count(*) > 0 FROM system.databases WHERE name = 'ombor'

-- ~ UTC
SELECT timezone() AS tz

-- ~ ver
WITH s AS (SELECT version() AS ver, splitByChar('.', ver) AS verSplit) SELECT s.ver, toInt32(verSplit[1]), toInt32(verSplit[2]) FROM s

-- ~ _
SELECT TRUE AS `_` FROM `ombor`.`calendar` WHERE 1 <> 1 LIMIT 0

-- ~ substring|outcome
SELECT `ombor`.`request_decided_v1`.`outcome` AS `outcome`, `ombor`.`request_decided_v1`.`time` AS `time` FROM `ombor`.`request_decided_v1` LIMIT 10000

-- ~ day
SELECT toStartOfMonth(toDateTime64(`ombor`.`request_decided_v1`.`time`, 3)) AS `day`, COUNT(*) AS `count` FROM `ombor`.`request_decided_v1` GROUP BY toStartOfMonth(toDateTime64(`ombor`.`request_decided_v1`.`time`, 3)) ORDER BY toStartOfMonth(toDateTime64(`ombor`.`request_decided_v1`.`time`, 3)) ASC
