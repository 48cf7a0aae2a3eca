package broker

// Wake has the worker look at once what is due, where a test has moved the clock.
func (w *Worker) Wake() { w.wake() }
