SELECT Period, toString(sum(Numerator)) AS TotalNumerator, sum(Cases) AS TotalCases, sum(Retracted) AS TotalRetracted, sum(Simulated) AS TotalSimulated
FROM (
SELECT toStartOfQuarter(_day) AS Period,
    sum(m_545b5ddbf9) AS Numerator,
    sum(_n) AS Cases,
    sum(_retracted) AS Retracted,
    sum(_simulated) AS Simulated
FROM `rollups`.`request_decided_v1__time___source`
WHERE _day >= {from:Date} AND _day <= {to:Date}
GROUP BY Period
UNION ALL
SELECT toStartOfQuarter(_day) AS Period,
    -2 * sum(_n) AS Numerator,
    sum(_n) AS Cases,
    sum(_retracted) AS Retracted,
    sum(_simulated) AS Simulated
FROM `rollups`.`service_changed_v1__time___source`
WHERE _day >= {from:Date} AND _day <= {to:Date}
GROUP BY Period
)
GROUP BY Period
ORDER BY Period
LIMIT 100001
-- {from} = 2024-01-01
-- {to} = 2024-11-30
