SELECT Period AS Period,
    By1 AS By1,
    toString(count()) AS Numerator,
    sum(counted.Cases) AS Cases,
    sum(counted.Retracted) AS Retracted,
    sum(counted.Simulated) AS Simulated
FROM (
SELECT toStartOfYear(_day) AS Period,
    toString(`region`) AS By1,
    `applicant` AS Value,
    sum(toInt64(_sign)) AS Cases,
    toInt64(countIf(_sign < 0)) AS Retracted,
    sumIf(toInt64(_sign), _simulated) AS Simulated
FROM `facts`.`request_decided_v1`
WHERE _day >= {from:Date} AND _day <= {to:Date} AND isNotNull(`applicant`)
GROUP BY Period, By1, Value
HAVING Cases > 0
) AS counted
GROUP BY Period, By1
ORDER BY Period, By1
LIMIT 100001
-- {from} = 2024-01-01
-- {to} = 2024-12-31
