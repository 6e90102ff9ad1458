SELECT toDate(assumeNotNull(`window_from`)) AS WindowFrom,
    toDate(assumeNotNull(`window_to`)) AS WindowTo,
    toString(`service`) AS By1,
    toString(sumOrNull((volume) * materialize(toDecimal128(1, 0)))) AS Numerator,
    toInt64(count()) AS Cases,
    toInt64(countIf(_simulated)) AS Simulated,
    toInt64(ifNull(sum(isNotNull(volume)), 0)) AS Covered,
    toInt64(count()) AS Expected,
    arrayStringConcat(arraySort(groupUniqArray(state)), ',') AS States
FROM `facts`.`figure_v1`
WHERE _sign > 0 AND (_id, _rev) NOT IN (SELECT _id, _rev FROM `facts`.`figure_v1` WHERE _sign < 0)
GROUP BY WindowFrom, WindowTo, By1
ORDER BY WindowFrom, WindowTo, By1
LIMIT 100001
