SELECT toStartOfYear(_day) AS Period,
    toString(sum(m_d1082cb51f) - sum(m_79db86932e)) AS Numerator,
    toString(4 * sum(m_79db86932e)) AS Denominator,
    sum(_n) AS Cases,
    sum(_retracted) AS Retracted,
    sum(_simulated) AS Simulated
FROM `rollups`.`request_decided_v1__time___source`
WHERE _day >= {from:Date} AND _day <= {to:Date}
GROUP BY Period
ORDER BY Period
LIMIT 100001
-- {from} = 2023-05-30
-- {to} = 2024-11-20
