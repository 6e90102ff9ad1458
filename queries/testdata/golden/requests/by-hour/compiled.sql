SELECT _day AS Period,
    _hour AS Hour,
    toString(sum(_n)) AS Numerator,
    sum(_n) AS Cases,
    sum(_retracted) AS Retracted,
    sum(_simulated) AS Simulated
FROM `rollups`.`request_decided_v1__time___source__hour`
WHERE _day >= {from:Date} AND _day <= {to:Date}
GROUP BY Period, Hour
ORDER BY Period, Hour
LIMIT 100001
-- {from} = 2024-03-01
-- {to} = 2024-03-03
