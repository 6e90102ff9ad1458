SELECT toStartOfQuarter(_day) AS Period,
    toString(sumIf(toInt64(_sign), known)) AS Numerator,
    toString(sumIf(toInt64(_sign), isNotNull(applicant))) AS Denominator,
    sum(toInt64(_sign)) AS Cases,
    toInt64(countIf(_sign < 0)) AS Retracted,
    sumIf(toInt64(_sign), _simulated) AS Simulated
FROM (SELECT own.*, arrayExists(its -> ifNull(tupleElement(its, 1) < submitted_at AND tupleElement(its, 2) != 'offline', false), its1.rows) AS `known`
FROM (SELECT *, {as_of:Date} AS as_of FROM (SELECT * REPLACE (toTimeZone(`submitted_at`, 'Asia/Tashkent') AS `submitted_at`) FROM `facts`.`request_decided_v1` WHERE _day >= {from:Date} AND _day <= {to:Date})) AS own
LEFT JOIN (SELECT toString(`applicant`) AS key1, groupArray(tuple(`submitted_at`, `processing`)) AS rows FROM (SELECT * REPLACE (toTimeZone(`submitted_at`, 'Asia/Tashkent') AS `submitted_at`) FROM `facts`.`request_decided_v1` WHERE _sign > 0 AND (_id, _rev) NOT IN (SELECT _id, _rev FROM `facts`.`request_decided_v1` WHERE _sign < 0) AND isNotNull(`applicant`)) GROUP BY key1) AS its1 ON toString(own.`applicant`) = its1.key1)
GROUP BY Period
ORDER BY Period
LIMIT 100001
-- {as_of} = 2024-12-10
-- {from} = 2024-01-01
-- {to} = 2024-11-30
