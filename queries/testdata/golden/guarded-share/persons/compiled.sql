SELECT toStartOfQuarter(_day) AS Period,
    toString(`region`) AS By1,
    toString(`processing`) AS By2,
    toString(sum(m_b2e3d66022)) AS Numerator,
    toString(sum(m_65214513e1)) AS Denominator,
    sum(_n) AS Cases,
    sum(_retracted) AS Retracted,
    sum(_simulated) AS Simulated,
    uniqUpToMerge(10)(p_ba7b563670) AS Persons
FROM `rollups`.`request_decided_v1__time__processing__region`
WHERE _day >= {from:Date} AND _day <= {to:Date}
GROUP BY Period, By1, By2
ORDER BY Period, By1, By2
LIMIT 100001
-- {from} = 2024-01-01
-- {to} = 2024-12-31
