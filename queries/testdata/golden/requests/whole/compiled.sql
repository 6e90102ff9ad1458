SELECT toString(sum(_n)) AS Numerator,
    sum(_n) AS Cases,
    sum(_retracted) AS Retracted,
    sum(_simulated) AS Simulated
FROM `rollups`.`request_decided_v1__time___source`
WHERE _day >= {from:Date} AND _day <= {to:Date}
LIMIT 100001
-- {from} = 2023-05-30
-- {to} = 2024-11-20
