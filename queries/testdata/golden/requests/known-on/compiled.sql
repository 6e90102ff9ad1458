SELECT toStartOfQuarter(_day) AS Period,
    toString(sum(_n)) AS Numerator,
    sum(_n) AS Cases,
    sum(_retracted) AS Retracted,
    sum(_simulated) AS Simulated
FROM `rollups`.`request_decided_v1__time___source`
WHERE _day >= {from:Date} AND _day <= {to:Date} AND _cut <= {known_on:Date}
GROUP BY Period
ORDER BY Period
LIMIT 100001
-- {from} = 2024-01-01
-- {known_on} = 2024-06-30
-- {to} = 2024-12-31
