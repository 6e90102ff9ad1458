SELECT toDate(assumeNotNull(`window_from`)) AS WindowFrom,
    toDate(assumeNotNull(`window_to`)) AS WindowTo,
    toString(sumOrNullIf((digital) * materialize(toDecimal128(1, 0)), isNotNull(volume))) AS Numerator,
    toString(sumOrNullIf((volume) * materialize(toDecimal128(1, 0)), isNotNull(digital))) AS Denominator,
    toInt64(count()) AS Cases,
    toInt64(countIf(_simulated)) AS Simulated,
    toInt64(countIf(isNotNull(volume) AND isNotNull(digital))) AS Covered,
    toInt64(countIf(isNotNull(volume))) AS Expected,
    arrayStringConcat(arraySort(groupUniqArray(state)), ',') AS States
FROM `facts`.`figure_v1`
WHERE `window_from` >= toDate32({from:Date}) AND `window_to` <= toDate32({to:Date}) AND _sign > 0 AND (_id, _rev) NOT IN (SELECT _id, _rev FROM `facts`.`figure_v1` WHERE _sign < 0)
GROUP BY WindowFrom, WindowTo
ORDER BY WindowFrom, WindowTo
LIMIT 100001
-- {from} = 2024-01-01
-- {to} = 2024-06-30
