SELECT toString(`region`) AS By1,
    toString(sum(m_b83da95bbf)) AS Numerator,
    sum(_n) AS Cases,
    sum(_retracted) AS Retracted,
    sum(_simulated) AS Simulated
FROM `rollups`.`request_decided_v1__time__processing__region`
WHERE _day >= {from:Date} AND _day <= {to:Date} AND `processing` IN {where1:Array(String)}
GROUP BY By1
ORDER BY By1
LIMIT 100001
-- {from} = 2024-01-01
-- {to} = 2024-12-31
-- {where1} = ['automatic','offline']
