SELECT toMonday(_day) AS Period,
    toString(sum(m_ae10810d9d)) AS Numerator,
    toString(sum(m_141f4cbad4)) AS Denominator,
    sum(_n) AS Cases,
    sum(_retracted) AS Retracted,
    sum(_simulated) AS Simulated
FROM `rollups`.`request_decided_v1__time___source`
WHERE _day >= {from:Date} AND _day <= {to:Date}
GROUP BY Period
ORDER BY Period
LIMIT 100001
-- {from} = 2024-02-01
-- {to} = 2024-02-29
