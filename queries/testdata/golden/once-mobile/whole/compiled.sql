SELECT Day AS Period,
    toString(`kind`) AS By1,
    toString(countIf(active AND mobile_once)) AS Numerator,
    toString(countIf(active)) AS Denominator,
    toInt64(count()) AS Cases,
    toInt64(countIf(Simulated)) AS SimulatedCases
FROM (SELECT own.*, arrayExists(its -> ifNull(tupleElement(its, 1) AND toDate(tupleElement(its, 2)) <= as_of, false), its1.rows) AS `mobile_once`
FROM (SELECT Day, Day AS as_of, tupleElement(State, 1) AS `service`, tupleElement(State, 2) AS `active`, tupleElement(State, 3) AS `kind`, tupleElement(State, 4) AS Simulated
FROM (
SELECT Day, argMax(tuple(`service`, `active`, `kind`, _simulated), tuple(time, _seq)) AS State
FROM `facts`.`service_changed_v1`
ARRAY JOIN CAST({days:Array(String)}, 'Array(Date)') AS Day
WHERE _day <= Day AND _sign > 0 AND (_id, _rev) NOT IN (SELECT _id, _rev FROM `facts`.`service_changed_v1` WHERE _sign < 0)
GROUP BY Day, `service`
)) AS own
LEFT JOIN (SELECT toString(`service`) AS key1, groupArray(tuple(`mobile`, `time`)) AS rows FROM (SELECT * REPLACE (toTimeZone(`time`, 'Asia/Tashkent') AS time) FROM `facts`.`service_changed_v1` WHERE _sign > 0 AND (_id, _rev) NOT IN (SELECT _id, _rev FROM `facts`.`service_changed_v1` WHERE _sign < 0) AND notEmpty(`service`)) GROUP BY key1) AS its1 ON toString(own.`service`) = its1.key1)
GROUP BY Period, By1
ORDER BY Period, By1
LIMIT 100001
-- {days} = ['2024-09-30']
