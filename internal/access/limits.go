package access

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"ombor/internal/problem"
)

// Limits bound how often somebody may ask. A zero field has the default that it names.
type Limits struct {
	Requests float64 // a second, of one principal; 0 is 200. Operators and sources are not bound: a source is by back-pressure
	Burst    int     // at once; 0 is 400
	Failures float64 // a second, of one address, with nothing or something unknown to show; 0 is 1
	Attempts int     // of them at once; 0 is 20
}

// limiter counts by principal and by address. What has been idle long enough to be full again
// is forgotten, so that its size is bounded by what is in use.
type limiter struct {
	limits Limits
	now    func() time.Time

	mu     sync.Mutex
	counts map[string]*count
	swept  time.Time
}

type count struct {
	*rate.Limiter
	used time.Time
}

func newLimiter(l Limits, now func() time.Time) *limiter {
	if l.Requests == 0 {
		l.Requests = 200
	}
	if l.Burst == 0 {
		l.Burst = 400
	}
	if l.Failures == 0 {
		l.Failures = 1
	}
	if l.Attempts == 0 {
		l.Attempts = 20
	}
	return &limiter{limits: l, now: now, counts: map[string]*count{}}
}

// take counts a request of a principal; Busy when there are too many. The public is counted by address.
func (l *limiter) take(p *Principal, address string) error {
	if p.Is(Operator, Source) {
		return nil
	}
	name := p.ID
	if p.Is(Public) {
		name = "public " + address
	}
	return l.count(name, l.limits.Requests, l.limits.Burst, map[string]string{
		"en": "more than %g requests a second: wait a moment",
		"uz": "Soʻrovlar juda koʻp, soniyada %g tadan ortiq: biroz kuting.",
		"ru": "Слишком много запросов, больше %g в секунду: подождите немного.",
	})
}

// failed counts a request of an address that shows nothing that is known.
func (l *limiter) failed(address string) error {
	return l.count("failed "+address, l.limits.Failures, l.limits.Attempts, map[string]string{
		"en": "too many attempts from this address without signing in (more than %g a second): wait a moment",
		"uz": "Bu manzildan tizimga kirmasdan juda koʻp urinildi, soniyada %g tadan ortiq: biroz kuting.",
		"ru": "Слишком много попыток с этого адреса без входа, больше %g в секунду: подождите немного.",
	})
}

// count counts one, and is Busy with words, which hold each, where that is one too many.
func (l *limiter) count(name string, each float64, burst int, words map[string]string) error {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.swept) > time.Minute {
		l.swept = now
		for name, c := range l.counts {
			if now.Sub(c.used) > time.Minute { // every limit is full again by then, at the defaults
				delete(l.counts, name)
			}
		}
	}
	c := l.counts[name]
	if c == nil {
		c = &count{Limiter: rate.NewLimiter(rate.Limit(each), burst)}
		l.counts[name] = c
	}
	c.used = now
	r := c.ReserveN(now, 1)
	if wait := r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		e := problem.New(problem.Busy, words["en"], each).Also("uz", words["uz"], each).Also("ru", words["ru"], each)
		e.RetryAfter = wait
		return e
	}
	return nil
}
