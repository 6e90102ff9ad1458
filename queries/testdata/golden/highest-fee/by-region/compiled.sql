SELECT toString(`region`) AS By1,
    toString(maxOrNull(fee)) AS Numerator,
    sum(toInt64(_sign)) AS Cases,
    toInt64(countIf(_sign < 0)) AS Retracted,
    sumIf(toInt64(_sign), _simulated) AS Simulated
FROM `facts`.`request_decided_v1`
WHERE _day >= {from:Date} AND _day <= {to:Date} AND _sign > 0 AND (_id, _rev) NOT IN (SELECT _id, _rev FROM `facts`.`request_decided_v1` WHERE _sign < 0)
GROUP BY By1
ORDER BY By1
LIMIT 100001
-- {from} = 2024-01-01
-- {to} = 2024-12-31
