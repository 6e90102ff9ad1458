SELECT Period AS Period,
    toString(count()) AS Numerator,
    sum(counted.Cases) AS Cases,
    sum(counted.Retracted) AS Retracted,
    sum(counted.Simulated) AS Simulated
FROM (
SELECT toStartOfMonth(_day) AS Period,
    `applicant` AS Value,
    sum(toInt64(_sign)) AS Cases,
    toInt64(countIf(_sign < 0)) AS Retracted,
    sumIf(toInt64(_sign), _simulated) AS Simulated
FROM `facts`.`request_decided_v1`
WHERE _day >= {from:Date} AND _day <= {to:Date} AND isNotNull(`applicant`)
GROUP BY Period, Value
HAVING Cases > 0
) AS counted
GROUP BY Period
ORDER BY Period
LIMIT 100001
-- {from} = 2024-01-01
-- {to} = 2024-12-31
