package rest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"latchkey.dev/latchkey/rest"
)

const permissionsIntroduction = `# Who may do what

This page is written by a test (` + "`make matrix`" + `) that asks a running authority for every operation, as
every kind of caller, on every kind of target; the test fails when an answer differs from this page.

**How to read it.** A column stands for all callers whose outcomes are the same everywhere; the letters are
explained below. A cell tells what a right request comes to: a status or a verdict for success, a code for
a refusal. Where it holds two outcomes, the first is for a target within the caller's reach and the second
for one beyond it: in another project (for callers bound to one), in another organization, unknown, or
spelled wrongly. A caller cannot tell these apart: the test compares the answers byte by byte, all but the
request's id. Where it matters which, the cell says so. (A key with a typing error has the verdict
` + "`malformed`" + ` for whoever may verify; its checksum tells it.) A caller who may not use an operation is refused
before anything else about the request is looked at, so ` + "`forbidden`" + ` is one and the same answer for any
input and any target.

A permission is not the whole story: nobody gives or uses more than its own permissions and rank. The
targets here have none, so that refusals for that reason (` + "`ceiling`" + `) are not seen in these tables; the last one has every pair of roles, and ceiling_test.go
the rest.
`

// page writes the matrix for people.
func (m *matrix) page() string {
	var b strings.Builder
	b.WriteString(permissionsIntroduction)
	classes := m.classes()
	b.WriteString("\n## The columns\n\n| | callers |\n|---|---|\n")
	for i, class := range classes {
		fmt.Fprintf(&b, "| **%c** | %s |\n", 'A'+i, describeClass(class))
	}
	b.WriteString("\n## The codes\n\n| code | status |\n|---|---|\n")
	for _, code := range slices.Sorted(maps.Keys(m.statuses)) {
		fmt.Fprintf(&b, "| `%s` | %d |\n", code, m.statuses[code])
	}
	var tags []string
	chapters := map[string][]rest.Operation{}
	for _, op := range m.api.Operations() {
		if chapters[op.Tag] == nil {
			tags = append(tags, op.Tag)
		}
		chapters[op.Tag] = append(chapters[op.Tag], op)
	}
	for _, tag := range tags {
		m.heading(&b, tag, len(classes))
		for _, op := range chapters[tag] {
			m.line(&b, op, classes)
		}
	}
	return b.String()
}

func (m *matrix) heading(b *strings.Builder, tag string, classes int) {
	fmt.Fprintf(b, "\n## %s\n\n| operation | needs |", strings.ToUpper(tag[:1])+tag[1:])
	for i := range classes {
		fmt.Fprintf(b, " %c |", 'A'+i)
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", classes) + "\n")
}

func (m *matrix) line(b *strings.Builder, op rest.Operation, classes [][]*principal) {
	needs := "`" + string(op.Needs) + "`"
	if op.Open {
		needs = "–"
	}
	fmt.Fprintf(b, "| `%s %s` | %s |", op.Method, op.Path, needs)
	for _, class := range classes {
		fmt.Fprintf(b, " %s |", m.cells[op.ID][class[0]])
	}
	b.WriteString("\n")
}

// classes are the callers whose outcomes are the same everywhere, in order of
// their first members.
func (m *matrix) classes() [][]*principal {
	var classes [][]*principal
	at := map[string]int{}
	for _, p := range m.principals {
		var column strings.Builder
		for _, op := range m.api.Operations() {
			column.WriteString(m.cells[op.ID][p] + "\n")
		}
		i, seen := at[column.String()]
		if !seen {
			i = len(classes)
			at[column.String()] = i
			classes = append(classes, nil)
		}
		classes[i] = append(classes[i], p)
	}
	return classes
}

func describeClass(class []*principal) string {
	var groups []string
	members := map[string][]string{}
	for _, p := range class {
		if members[p.group] == nil {
			groups = append(groups, p.group)
		}
		members[p.group] = append(members[p.group], p.name)
	}
	var parts []string
	for _, g := range groups {
		parts = append(parts, g+": "+strings.Join(members[g], ", "))
	}
	return strings.Join(parts, "; ")
}
