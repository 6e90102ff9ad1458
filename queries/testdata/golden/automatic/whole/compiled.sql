SELECT toString(sum(m_b2e3d66022)) AS Numerator,
    sum(_n) AS Cases,
    sum(_retracted) AS Retracted,
    sum(_simulated) AS Simulated
FROM `rollups`.`request_decided_v1__time___source`
WHERE _day >= {from:Date} AND _day <= {to:Date}
LIMIT 100001
-- {from} = 2024-01-01
-- {to} = 2024-11-30
