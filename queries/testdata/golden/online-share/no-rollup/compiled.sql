SELECT toString(`agency`) AS By1,
    toString(`region`) AS By2,
    toString(sumIf(toInt64(_sign), processing IN ('automatic', 'officer_online'))) AS Numerator,
    toString(sum(toInt64(_sign))) AS Denominator,
    sum(toInt64(_sign)) AS Cases,
    toInt64(countIf(_sign < 0)) AS Retracted,
    sumIf(toInt64(_sign), _simulated) AS Simulated
FROM `facts`.`request_decided_v1`
WHERE _day >= {from:Date} AND _day <= {to:Date} AND `region` IN {where1:Array(String)}
GROUP BY By1, By2
ORDER BY By1, By2
LIMIT 100001
-- {from} = 2024-01-01
-- {to} = 2024-12-31
-- {where1} = ['1703','1726']
