package warehouse

import (
	"math"

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
func Quantiles(h Histogram, points []float64) (values []float64, n int64) {
	return h.quantiles(points, bucketValue)
}

// WholeQuantiles is [Quantiles] of buckets whose keys are the values themselves. Between
// two whole numbers a quantile has the digits of its point (p90 tenths): rounded to six,
// it is the exact decimal, of which binary fractions would tell 15.600000000000023.
func WholeQuantiles(h Histogram, points []float64) (values []float64, n int64) {
	values, n = h.quantiles(points, func(key int32) float64 { return float64(key) })
	for i, x := range values {
		values[i] = math.Round(x*1e6) / 1e6
	}
	return values, n
}

func (h Histogram) quantiles(points []float64, value func(key int32) float64) (values []float64, n int64) {
	last := -1
	for i, count := range h.Counts {
		if count > 0 {
			n, last = n+count, i
		}
	}
	if n == 0 {
		return nil, 0
	}
	at := func(rank int64) float64 {
		for i, count := range h.Counts {
			if rank -= max(count, 0); rank < 0 {
				return value(h.Keys[i])
			}
		}
		return value(h.Keys[last])
	}
	for _, q := range points {
		rank := q * float64(n-1)
		low := math.Floor(rank)
		x, y := at(int64(low)), at(int64(math.Ceil(rank)))
		values = append(values, x+(y-x)*(rank-low))
	}
	return values, n
}
