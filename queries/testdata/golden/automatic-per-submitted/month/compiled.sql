SELECT Period, By1, toString(sum(Numerator)) AS TotalNumerator, toString(sum(Denominator)) AS TotalDenominator, sum(Cases) AS TotalCases, sum(Retracted) AS TotalRetracted, sum(Simulated) AS TotalSimulated
FROM (
SELECT toStartOfMonth(_day) AS Period,
    toString(`region`) AS By1,
    sum(m_b2e3d66022) AS Numerator,
    toInt64(0) AS Denominator,
    sum(_n) AS Cases,
    sum(_retracted) AS Retracted,
    sum(_simulated) AS Simulated
FROM `rollups`.`request_decided_v1__time__region`
WHERE _day >= {from:Date} AND _day <= {to:Date}
GROUP BY Period, By1
UNION ALL
SELECT toStartOfMonth(_day) AS Period,
    toString(`region`) AS By1,
    toInt64(0) AS Numerator,
    sum(_n) AS Denominator,
    sum(_n) AS Cases,
    sum(_retracted) AS Retracted,
    sum(_simulated) AS Simulated
FROM `rollups`.`request_decided_v1__submitted_at__region`
WHERE _day >= {from:Date} AND _day <= {to:Date}
GROUP BY Period, By1
)
GROUP BY Period, By1
ORDER BY Period, By1
LIMIT 100001
-- {from} = 2024-01-01
-- {to} = 2024-11-30
