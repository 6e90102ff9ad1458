package ingest

// spares keep a few things for use again. A sync.Pool loses what it has with every second garbage
// collection, of which there are several a second at full load; what was lost has to grow
// anew, event by event. Safe for concurrent use.
type spares[T any] struct {
	kept chan T
	one  func() T
}

// newSpares keeps at most n.
func newSpares[T any](n int, one func() T) spares[T] {
	return spares[T]{make(chan T, n), one}
}

func (s spares[T]) get() T {
	select {
	case x := <-s.kept:
		return x
	default:
		return s.one()
	}
}

// put takes x back; when there are enough it is left to the garbage collection.
func (s spares[T]) put(x T) {
	select {
	case s.kept <- x:
	default:
	}
}
