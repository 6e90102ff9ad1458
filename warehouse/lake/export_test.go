package lake

// SetFailpoint calls fn between the steps of compactions, until the returned function is called.
func SetFailpoint(fn func(step string)) (restore func()) {
	failpoint = fn
	return func() { failpoint = func(string) {} }
}
