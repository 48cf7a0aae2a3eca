// Package btree reads rows from the pages of a SQLite file, in the order of a
// table's tree. To run a statement takes some microseconds a row; to take a row out
// of its page a fraction of one, which counts where every row is read.
//
// The format is https://www.sqlite.org/fileformat2.html, sections 1.5 to 2, which
// its makers promise to keep. Pages come from SQLite itself, so they are those of
// one snapshot, whichever of them are in its log. What is in them is not trusted: a
// page that cannot be is [ErrDamaged], and nothing outside of it is read.
package btree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
)

// ErrDamaged says that the pages are not those of a table.
var ErrDamaged = errors.New("the pages of a table are damaged")

// Pages gives pages by number, in the order that was asked for. They are never
// written again.
type Pages func(numbers []uint32) ([][]byte, error)

// Batch is how many pages are asked for at a time, at most.
const Batch = 32

// File is where the pages of tables come from. Each tree is read once.
type File struct {
	pages  Pages
	usable int // bytes of a page
	left   int // pages that can be read yet: none is in two trees, or twice in one
}

// Open looks at the header of a file.
func Open(pages Pages) (*File, error) {
	first, err := pages([]uint32{1})
	if err != nil {
		return nil, err
	}
	if len(first) != 1 || len(first[0]) < 512 || first[0][59] != 1 { // which is UTF-8
		return nil, fmt.Errorf("%w: the header", ErrDamaged)
	}
	return &File{pages, len(first[0]) - int(first[0][20]), int(binary.BigEndian.Uint32(first[0][28:]))}, nil
}

// Cursor goes from row to row.
type Cursor struct {
	// Row is the row at which the cursor is.
	Row

	file        *File
	from, below int64
	columns     int     // that are read of a row
	path        []level // from the root
	err         error
}

// level is a page on the way to a row. Of a leaf the steps are its cells. Of a page
// above, they are its children, one more than there are cells; if it is an index's,
// the row of each cell comes between two of them.
type level struct {
	page
	step, end int
	ahead     [][]byte // the next children
}

// Rows begins before the rows whose number is not below from and is below the other
// bound. The number is the rowid or, in a table without one, the first column of
// its key. Of each row the first columns are read, so many.
func (f *File) Rows(root uint32, from, below int64, columns int) *Cursor {
	c := &Cursor{file: f, from: from, below: below, columns: columns}
	if from >= below {
		return c
	}
	pages, err := f.read([]uint32{root})
	if err == nil {
		err = c.descend(pages[0])
	}
	c.err = err
	return c
}

func (f *File) read(numbers []uint32) ([][]byte, error) {
	if f.left -= len(numbers); f.left < 0 {
		return nil, fmt.Errorf("%w: they have no end", ErrDamaged)
	}
	pages, err := f.pages(numbers)
	if err != nil {
		return nil, err
	}
	if len(pages) != len(numbers) {
		return nil, fmt.Errorf("%w: a page is missing", ErrDamaged)
	}
	for _, p := range pages {
		if len(p) < f.usable || f.usable < 480 {
			return nil, fmt.Errorf("%w: a page is short", ErrDamaged)
		}
	}
	return pages, nil
}

// Err is why the rows ended, if it is not that there are no more.
func (c *Cursor) Err() error { return c.err }

// Next goes to the next row; false where there is none.
func (c *Cursor) Next() bool {
	for c.err == nil && len(c.path) > 0 {
		at := &c.path[len(c.path)-1]
		if at.step >= at.end {
			c.path = c.path[:len(c.path)-1]
			continue
		}
		step := at.step
		at.step++
		switch {
		case at.leaf():
			c.err = c.load(&at.page, step)
		case at.index() && step%2 == 1:
			c.err = c.load(&at.page, step/2)
		default:
			c.err = c.child(at, step)
			continue
		}
		if c.err == nil && c.Number >= c.from && c.Number < c.below {
			return true
		}
	}
	return false
}

// descend enters a page, at the first cell or child in which a row may be that is
// looked for, and to the last.
func (c *Cursor) descend(text []byte) error {
	p, err := newPage(text, c.file.usable)
	if err != nil {
		return err
	}
	first, last := c.find(&p, c.from), c.find(&p, c.below)
	at := level{page: p, step: first, end: last}
	switch {
	case p.leaf():
	case p.index():
		at.step, at.end = 2*first, 2*last+1
	default:
		at.end = last + 1
	}
	c.path = append(c.path, at)
	return c.err
}

// find is the first cell whose number is not below n. For most pages that is the
// first of all, or none.
func (c *Cursor) find(p *page, n int64) int {
	reaches := func(i int) bool {
		number, err := c.number(p, i)
		if err != nil {
			c.err = err
		}
		return number >= n
	}
	switch {
	case p.cells == 0 || reaches(0):
		return 0
	case !reaches(p.cells - 1):
		return p.cells
	}
	return sort.Search(p.cells, reaches)
}

// child enters a child of a page. The next ones are read together with it.
func (c *Cursor) child(at *level, step int) error {
	if len(at.ahead) == 0 {
		stride := 1
		if at.index() {
			stride = 2
		}
		numbers := make([]uint32, 0, Batch)
		for ; step < at.end && len(numbers) < Batch; step += stride {
			number, err := at.child(step / stride)
			if err != nil {
				return err
			}
			numbers = append(numbers, number)
		}
		var err error
		if at.ahead, err = c.file.read(numbers); err != nil {
			return err
		}
	}
	next := at.ahead[0]
	at.ahead = at.ahead[1:]
	return c.descend(next)
}

// page is one page of a tree.
type page struct {
	text  []byte // the part that is used
	kind  byte
	cells int
}

// The kinds of pages.
const (
	indexAbove = 2
	tableAbove = 5
	indexLeaf  = 10
	tableLeaf  = 13
)

func newPage(text []byte, usable int) (page, error) {
	p := page{text: text[:usable], kind: text[0], cells: int(binary.BigEndian.Uint16(text[3:]))}
	switch p.kind {
	case indexAbove, tableAbove, indexLeaf, tableLeaf:
		if p.head()+2*p.cells <= usable {
			return p, nil
		}
	}
	return p, fmt.Errorf("%w: a page of kind %d with %d cells", ErrDamaged, p.kind, p.cells)
}

func (p *page) leaf() bool  { return p.kind >= indexLeaf }
func (p *page) index() bool { return p.kind == indexAbove || p.kind == indexLeaf }

func (p *page) head() int {
	if p.leaf() {
		return 8
	}
	return 12
}

// cell is the text from a cell on.
func (p *page) cell(i int) ([]byte, error) {
	at := int(binary.BigEndian.Uint16(p.text[p.head()+2*i:]))
	if at < p.head() || at+4 > len(p.text) {
		return nil, fmt.Errorf("%w: a cell begins at %d", ErrDamaged, at)
	}
	return p.text[at:], nil
}

// child is the page before a cell, or behind the last of them.
func (p *page) child(i int) (uint32, error) {
	if i == p.cells {
		return binary.BigEndian.Uint32(p.text[8:]), nil
	}
	cell, err := p.cell(i)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(cell), nil
}
