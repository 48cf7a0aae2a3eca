// Package dialecttest holds the laws across the dialects, and runs the published
// clients of the platforms whose APIs they speak against a running authority. All
// of it is told over HTTP, as any client sees it.
package dialecttest
