SELECT toStartOfMonth(_day) AS Period,
    toString(`region`) AS By1,
    toString(sum(m_079d7448d5)) AS Numerator,
    toString(sum(_n)) AS Denominator,
    sum(_n) AS Cases,
    sum(_retracted) AS Retracted,
    sum(_simulated) AS Simulated
FROM `rollups`.`request_decided_v1__time__region`
WHERE _day >= {from:Date} AND _day <= {to:Date}
GROUP BY Period, By1
ORDER BY Period, By1
LIMIT 100001
-- {from} = 2024-01-01
-- {to} = 2024-12-31
