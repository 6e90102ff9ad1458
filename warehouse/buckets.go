package warehouse

import (
	"math"
	"sort"

	"ombor/internal/kpi"
)

// Distributions are kept as counts of logarithmic buckets (Masson, Rim, Lee:
// "DDSketch", VLDB 2019): bucket i holds the values in (γ^(i−1), γ^i], and is told as
// 2γ^i ÷ (γ+1), which is within ±1 % of every value in it. A count can be taken back,
// which a t-digest cannot. Keys rise with the values: 0 is zero, 2000 + i stands for
// positive values, −2000 − i for negative ones. Magnitudes below 1e-9 (γ^−1046) are zero,
// so that i never reaches −2000.
const (
	gamma     = 1.02
	keyOffset = 2000
)

// RelativeError is the error of a quantile, in percent of it.
const RelativeError = 1.0

// Buckets is the aggregate over facts of a distribution: Map(Int32, Int64), bucket to
// rows, corrections settled. Absent and not finite values are in no bucket.
func Buckets(d *kpi.Distribution) string {
	x := "assumeNotNull(toFloat64(" + d.Of + "))"
	condition := "isFinite(assumeNotNull(toFloat64(" + d.Of + "))) AND isNotNull(" + d.Of + ")"
	if d.If != "" {
		condition += " AND (" + d.If + ")"
	}
	return "sumMapIf(map(toInt32(multiIf(abs(" + x + ") < 1e-9, 0, " + x + " > 0, 2000 + ceil(log(" + x + ") / log(1.02)), " +
		"-2000 - ceil(log(-" + x + ") / log(1.02)))), toInt64(_sign)), " + condition + ")"
}

// bucketValue is the value told for a bucket.
func bucketValue(key int32) float64 {
	switch {
	case key > 0:
		return 2 * math.Pow(gamma, float64(key-keyOffset)) / (gamma + 1)
	case key < 0:
		return -2 * math.Pow(gamma, float64(-key-keyOffset)) / (gamma + 1)
	}
	return 0
}

// Quantiles reads quantiles off buckets, between the two nearest ranks as R's type
// 7 and NumPy's default do, so that each is within ±1 % of what the values themselves
// would give. n is the number of values; 0 has no quantiles.
func Quantiles(buckets map[int32]int64, points []float64) (values []float64, n int64) {
	keys := make([]int32, 0, len(buckets))
	for key, count := range buckets {
		if count > 0 {
			keys = append(keys, key)
			n += count
		}
	}
	if n == 0 {
		return nil, 0
	}
	sort.Slice(keys, func(a, b int) bool { return keys[a] < keys[b] })
	at := func(rank int64) float64 {
		for _, key := range keys {
			if rank -= buckets[key]; rank < 0 {
				return bucketValue(key)
			}
		}
		return bucketValue(keys[len(keys)-1])
	}
	for _, q := range points {
		rank := q * float64(n-1)
		low := math.Floor(rank)
		a, b := at(int64(low)), at(int64(math.Ceil(rank)))
		values = append(values, a+(b-a)*(rank-low))
	}
	return values, n
}
