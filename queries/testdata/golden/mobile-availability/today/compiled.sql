SELECT Day AS Period,
    toString(countIf(mobile AND active)) AS Numerator,
    toString(countIf(active)) AS Denominator,
    toInt64(count()) AS Cases,
    toInt64(countIf(Simulated)) AS SimulatedCases,
    toInt64(countIf(isNotNull(mobile) AND active)) AS Covered,
    toInt64(countIf(active)) AS Expected
FROM (
SELECT Day, Day AS as_of, tupleElement(State, 1) AS `service`, tupleElement(State, 2) AS `active`, tupleElement(State, 3) AS `mobile`, tupleElement(State, 4) AS Simulated
FROM (
SELECT Day, argMax(tuple(`service`, `active`, `mobile`, _simulated), tuple(time, _seq)) AS State
FROM `facts`.`service_changed_v1`
ARRAY JOIN CAST({days:Array(String)}, 'Array(Date)') AS Day
WHERE _day <= Day AND _sign > 0 AND (_id, _rev) NOT IN (SELECT _id, _rev FROM `facts`.`service_changed_v1` WHERE _sign < 0)
GROUP BY Day, `service`
)
)
GROUP BY Period
ORDER BY Period
LIMIT 100001
-- {days} = ['2024-12-10']
