package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"latchkey.dev/latchkey/client"
)

// mostPerPage is the longest page that a server gives.
const mostPerPage = 100

// listing prints lists of one noun.
type listing[T any] struct {
	r      *remote
	noun   string
	header []string
	row    func(*T) []string
	lines  func(*T) [][]string // instead of row, where one has several
}

func (l *listing[T]) rows(items []T) [][]string {
	var rows [][]string
	for i := range items {
		if l.lines != nil {
			rows = append(rows, l.lines(&items[i])...)
		} else {
			rows = append(rows, l.row(&items[i]))
		}
	}
	return rows
}

// page prints one page, and how to get the next.
func (l *listing[T]) page(a client.Answer[client.Page[T]], err error) error {
	return tell(l.r, a, err, func(p client.Page[T]) error {
		if err := columns(l.r.Stdout, l.header, l.rows(p.Data)); err != nil {
			return err
		}
		if p.NextCursor != "" {
			l.r.note("There are more %s: --all lists all of them, --cursor %s the next page.", l.noun, p.NextCursor)
		}
		return nil
	})
}

// all prints every page. With --json that is one document of the form that a
// page has. It is written as it comes, so one that was cut short by an error is
// no JSON and cannot pass for the whole.
func (l *listing[T]) all(pages iter.Seq2[client.Answer[client.Page[T]], error]) error {
	p := l.r.progress()
	defer p.end()
	document := document{to: l.r.Stdout, member: "data"}
	header, count := l.header, 0
	for a, err := range pages {
		if err != nil {
			return l.r.refused(err)
		}
		if l.r.JSON {
			err = document.add(a.Raw)
		} else {
			p.end()
			err = columns(l.r.Stdout, header, l.rows(a.Value.Data))
			header = nil
		}
		if err != nil {
			return err
		}
		if count += len(a.Value.Data); a.Value.NextCursor != "" {
			p.tell("%d %s so far", count, l.noun)
		}
	}
	if l.r.JSON {
		return document.end(map[string]any{"next_cursor": nil})
	}
	return nil
}

// document is a JSON object with one long list, which is written as it comes
// from answers that have parts of it.
type document struct {
	to     io.Writer
	member string
	items  int
}

// add writes the part of the list that is in an answer.
func (d *document) add(raw client.Raw) error {
	items, err := parts(raw, d.member)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	for _, item := range items {
		out.WriteString(d.before())
		out.Write(item)
		d.items++
	}
	_, err = d.to.Write(out.Bytes())
	return err
}

// parts are the elements of a list in an answer, as they came.
func parts(raw client.Raw, member string) (items []json.RawMessage, err error) {
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(raw.Expose(), &answer); err != nil {
		return nil, err
	}
	return items, json.Unmarshal(answer[member], &items)
}

func (d *document) before() string {
	if d.items == 0 {
		return `{"` + d.member + `":[`
	}
	return ","
}

// end writes the object's other members, if there are any.
func (d *document) end(others map[string]any) error {
	rest, err := json.Marshal(others)
	if err != nil {
		return err
	}
	head, comma := "", ","
	if d.items == 0 {
		head = d.before()
	}
	if len(others) == 0 {
		comma = ""
	}
	_, err = fmt.Fprintf(d.to, "%s]%s%s\n", head, comma, rest[1:])
	return err
}
