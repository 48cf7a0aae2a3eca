// Package bench measures the promises of speed against floors in the same run,
// as `make bench` prints them. It has nothing but benchmarks, each of which runs
// the built program and speaks to it over the wire; a floor is the same rows or
// bytes handled by the least code that could do it. Every comparison is made in
// interleaved rounds and told by medians, because a shared machine's absolute
// figures swing by a factor of two. No test depends on any of it.
package bench
