// Package direct reads and writes connections without telling Go's scheduler.
//
// A system call that may block is announced to the scheduler, which has a thread
// that watches for those that do. In a process that is idle between two requests
// that thread sleeps; each announcement wakes it, and it looks around every 20 µs
// until the process is idle again (decision 0034). The calls of a connection never
// block, since its descriptor does not: where they would have to wait, the
// connection waits as every other one does, in the scheduler's poller.
package direct
