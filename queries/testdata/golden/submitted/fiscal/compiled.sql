SELECT addMonths(toStartOfYear(addMonths(_day, -3)), 3) AS Period,
    toString(`region`) AS By1,
    toString(sum(_n)) AS Numerator,
    sum(_n) AS Cases,
    sum(_retracted) AS Retracted,
    sum(_simulated) AS Simulated
FROM `rollups`.`request_decided_v1__submitted_at__region`
WHERE _day >= {from:Date} AND _day <= {to:Date}
GROUP BY Period, By1
ORDER BY Period, By1
LIMIT 100001
-- {from} = 2024-01-01
-- {to} = 2024-12-31
