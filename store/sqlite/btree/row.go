package btree

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// Row is one row. Its texts are where they are in the page, and stay as they are.
type Row struct {
	Number int64 // see [File.Rows]

	values []value
	body   []byte
	wrong  bool
}

// value is where a value is in a record, and of which serial type it is.
type value struct{ at, kind int }

// Damaged reports whether a value was asked for, since the row was read, as
// something that it is not.
func (r *Row) Damaged() bool { return r.wrong }

// Int is a column's number, 0 where it is NULL. Columns count from 0 in the order
// in which they are stored; those that were added later than the row was written are
// NULL.
func (r *Row) Int(column int) int64 {
	text, kind := r.column(column)
	switch kind {
	case 0, 8:
		return 0
	case 9:
		return 1
	case 1, 2, 3, 4, 5, 6:
		n := int64(int8(text[0])) //nolint:gosec // a stored number is in two's complement, so its first byte has the sign
		for _, b := range text[1:] {
			n = n<<8 | int64(b)
		}
		return n
	}
	r.wrong = true
	return 0
}

// Null reports whether the column is NULL.
func (r *Row) Null(column int) bool {
	_, kind := r.column(column)
	return kind == 0
}

// Bytes is a column's text or bytes, nil where it is NULL. They are not the
// caller's to change.
func (r *Row) Bytes(column int) []byte {
	text, kind := r.column(column)
	if kind < 12 {
		r.wrong = r.wrong || kind != 0
		return nil
	}
	return text
}

// Text is a column's text.
func (r *Row) Text(column int) string {
	text := r.Bytes(column)
	return unsafe.String(unsafe.SliceData(text), len(text)) //nolint:gosec // Pages promises that nobody writes to a page again, so a string may share its bytes
}

func (r *Row) column(i int) (text []byte, kind int) {
	if i >= len(r.values) {
		return nil, 0
	}
	v := r.values[i]
	return r.body[v.at : v.at+width(v.kind)], v.kind
}

// width is how many bytes a value of a serial type takes.
func width(kind int) int {
	if kind >= 12 {
		return (kind - 12) / 2
	}
	return int([...]int8{0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0}[kind])
}

// varint reads a number of one to nine bytes; size is 0 where it does not end.
func varint(text []byte) (n uint64, size int) {
	for i, b := range text[:min(len(text), 9)] {
		if i == 8 {
			return n<<8 | uint64(b), 9
		}
		n = n<<7 | uint64(b&0x7f)
		if b < 0x80 {
			return n, i + 1
		}
	}
	return 0, 0
}

// maxRecord is more than any row of ours takes.
const maxRecord = 1 << 24

// cellParts are the parts of a cell.
type cellParts struct {
	local  []byte // the record, as far as it is in the page
	length int    // of the whole record
	next   uint32 // the page where it goes on; 0: nowhere
	rowid  int64
}

// open takes a cell apart.
func (p *page) open(i int) (c cellParts, err error) {
	cell, err := p.cell(i)
	if err != nil {
		return c, err
	}
	if p.kind == indexAbove {
		cell = cell[4:]
	}
	size, n := varint(cell)
	if n == 0 || size > maxRecord {
		return c, fmt.Errorf("%w: a record of %d bytes", ErrDamaged, size)
	}
	cell = cell[n:]
	if p.kind == tableLeaf {
		number, n := varint(cell)
		if n == 0 {
			return c, fmt.Errorf("%w: a rowid", ErrDamaged)
		}
		c.rowid, cell = int64(number), cell[n:] //nolint:gosec // a rowid is stored in two's complement, which this turns back
	}
	c.length = int(size) // at most maxRecord
	here, more := p.local(c.length), 0
	if here < c.length {
		more = 4
	}
	if here+more > len(cell) {
		return c, fmt.Errorf("%w: a record of %d bytes", ErrDamaged, size)
	}
	if c.local = cell[:here]; more > 0 {
		c.next = binary.BigEndian.Uint32(cell[here:])
	}
	return c, nil
}

// local is how much of a record is in the page itself.
func (p *page) local(length int) int {
	usable := len(p.text)
	most, least := usable-35, (usable-12)*32/255-23
	if p.kind != tableLeaf {
		most = (usable-12)*64/255 - 23
	}
	if length <= most {
		return length
	}
	if kept := least + (length-least)%(usable-4); kept <= most {
		return kept
	}
	return least
}

// number is that of a cell. In an index it is in the part of the row that is in the
// page.
func (c *Cursor) number(p *page, i int) (int64, error) {
	if p.kind == tableAbove {
		cell, err := p.cell(i)
		if err != nil {
			return 0, err
		}
		n, size := varint(cell[4:])
		if size == 0 {
			return 0, fmt.Errorf("%w: a rowid", ErrDamaged)
		}
		return int64(n), nil //nolint:gosec // a rowid is stored in two's complement, which this turns back
	}
	cell, err := p.open(i)
	if err != nil || p.kind == tableLeaf {
		return cell.rowid, err
	}
	if err := c.Row.read(cell.local, 1); err != nil {
		return 0, err
	}
	return c.Row.Int(0), nil
}

// load makes a cell the cursor's row.
func (c *Cursor) load(p *page, i int) error {
	cell, err := p.open(i)
	if err != nil {
		return err
	}
	body := cell.local
	if len(body) < cell.length {
		if body, err = c.file.whole(&cell); err != nil {
			return err
		}
	}
	if err := c.Row.read(body, c.columns); err != nil {
		return err
	}
	c.Number = cell.rowid
	if p.kind != tableLeaf {
		c.Number = c.Row.Int(0)
	}
	return nil
}

// whole reads the rest of a record from pages of its own.
func (f *File) whole(c *cellParts) ([]byte, error) {
	body := append(make([]byte, 0, c.length), c.local...)
	for next := c.next; len(body) < c.length; {
		pages, err := f.read([]uint32{next})
		if err != nil {
			return nil, err
		}
		next = binary.BigEndian.Uint32(pages[0])
		body = append(body, pages[0][4:min(f.usable, 4+c.length-len(body))]...)
	}
	return body, nil
}

// read finds the first values of a record.
func (r *Row) read(body []byte, columns int) error {
	r.body, r.values, r.wrong = body, r.values[:0], false
	size, n := varint(body)
	if n == 0 || size > uint64(len(body)) || size < uint64(n) { //nolint:gosec // n is 1 to 9, the bytes of a varint
		return fmt.Errorf("%w: a record's head of %d bytes", ErrDamaged, size)
	}
	at := int(size) //nolint:gosec // no more than len(body), by the look above
	for head := body[n:at]; len(head) > 0 && len(r.values) < columns; {
		kind, n := uint64(head[0]), 1
		if kind >= 0x80 {
			if kind, n = varint(head); n == 0 || kind > 2*maxRecord {
				r.values = r.values[:0]
				return fmt.Errorf("%w: a value's kind", ErrDamaged)
			}
		}
		head = head[n:]
		r.values = append(r.values, value{at, int(kind)}) // at most twice maxRecord
		at += width(int(kind))
	}
	if at > len(body) {
		r.values = r.values[:0]
		return fmt.Errorf("%w: a record's values end at %d of %d", ErrDamaged, at, len(body))
	}
	return nil
}
