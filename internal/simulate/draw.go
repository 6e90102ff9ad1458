package simulate

import (
	"math"
	"math/bits"
	"sort"
)

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of x
// changes half of the bits of the result.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// draw is a stream of random numbers: SplitMix64 from a state that says what it is
// for, so that what is drawn for one request depends on no other.
type draw uint64

func (d *draw) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	return mix(uint64(*d))
}

// below is a number from 0 to n-1. Its bias, n ÷ 2⁶⁴, is of no account here.
func (d *draw) below(n uint64) uint64 {
	hi, _ := bits.Mul64(d.next(), n)
	return hi
}

// permille is true in p of 1000 cases.
func (d *draw) permille(p uint64) bool { return d.below(1000) < p }

// mulDiv is a × b ÷ c without overflow in between; the quotient must fit 64 bits.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	q, _ := bits.Div64(hi, lo, c)
	return q
}

// apportion divides total in proportion to weights by largest remainders; equal
// remainders go to the earlier weight. The parts add up to total, or are all 0 when
// there is no weight.
func apportion(total uint64, weights []uint64) []uint64 {
	parts := make([]uint64, len(weights))
	sum := uint64(0)
	for _, w := range weights {
		sum += w
	}
	if sum == 0 {
		return parts
	}
	remainders := make([]uint64, len(weights))
	left := total
	for i, w := range weights {
		hi, lo := bits.Mul64(total, w)
		parts[i], remainders[i] = bits.Div64(hi, lo, sum)
		left -= parts[i]
	}
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return remainders[order[a]] > remainders[order[b]] })
	for _, i := range order[:left] {
		parts[i]++
	}
	return parts
}

// parcel divides total in proportion to weights as they follow each other: after any of them, what was given
// is less than one away from its share. So a few cases are spread over a year, where [apportion] gives
// them to its heaviest days.
func parcel(total uint64, weights []uint64) []uint64 {
	parts := make([]uint64, len(weights))
	sum := uint64(0)
	for _, w := range weights {
		sum += w
	}
	if sum == 0 {
		return parts
	}
	upTo, given := uint64(0), uint64(0)
	for i, w := range weights {
		upTo += w
		parts[i] = mulDiv(total, upTo, sum) - given
		given += parts[i]
	}
	return parts
}

// choice draws an index by weights, in one step.
type choice struct{ index [4096]uint8 }

// newChoice rounds the weights to 1/4096; a weight that is not 0 keeps one place.
func newChoice(weights []uint64) *choice {
	c := &choice{}
	at := 0
	for i, places := range apportion(uint64(len(c.index)), weights) {
		for range places {
			c.index[at] = uint8(i)
			at++
		}
	}
	return c
}

func (c *choice) of(d *draw) int { return int(c.index[d.next()>>52]) }

// logNormal is a table of exp(σz)×1000 for 4096 equally likely z: a log-normal
// variable with median 1000.
func logNormal(sigmaPermille uint64) *[4096]uint64 {
	t := &[4096]uint64{}
	for i := range t {
		p := (float64(i) + 0.5) / float64(len(t))
		z := math.Sqrt2 * math.Erfinv(2*p-1)
		t[i] = uint64(math.Round(1000 * math.Exp(float64(sigmaPermille)/1000*z)))
	}
	return t
}

// tables are what is drawn from, made once.
type tables struct {
	citizenHours, officeHours   *choice
	automatic, officer, offline *[4096]uint64
	// The door of a request: mobile in so many thousandths at mid-year where the service
	// is in the application, else by the choice, which has no mobile.
	mobile               [2]uint64 // [0] certificates, [1] other kinds
	intake               [2]*choice
	platforms, languages *choice
}

// What is drawn as a number is written as a word.
var (
	intakes   = [...]string{"portal", "mobile", "operator", "bank", "payment_system", "service_centre", "agency_desk"}
	platforms = [...]string{"web", "android", "ios"}
	languages = [...]string{"uz", "ru", "en"}
)

const (
	intakePortal = iota
	intakeMobile
	intakeOperator
	intakeBank
	intakePaymentSystem
)

func makeTables(n *nation) tables {
	i := &n.Invented
	t := tables{
		citizenHours: newChoice(i.Hours.Citizen[:]), officeHours: newChoice(i.Hours.Office[:]),
		automatic: logNormal(i.Duration.Automatic.SigmaPermille),
		officer:   logNormal(i.Duration.OfficerOnline.SigmaPermille),
		offline:   logNormal(i.Duration.Offline.SigmaPermille),
		platforms: newChoice(weightsOf(platforms[:], i.Platforms)),
		languages: newChoice(weightsOf(languages[:], i.Languages)),
	}
	for k, weights := range []map[string]uint64{i.Intake.Certificate, i.Intake.Other} {
		w := weightsOf(intakes[:], weights)
		t.mobile[k] = w[intakeMobile]
		w[intakeMobile] = 0
		t.intake[k] = newChoice(w)
	}
	return t
}

func weightsOf(names []string, weights map[string]uint64) []uint64 {
	w := make([]uint64, len(names))
	for i, name := range names {
		w[i] = weights[name]
	}
	return w
}
