package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"latchkey.dev/latchkey/client"
)

// row is a key of an import file.
type row struct {
	line int // on which it begins, from 1
	key  client.ImportedKey
}

// The formats of import files.
const (
	formatCSV   = "csv"
	formatJSONL = "jsonl"
)

// guessFormat tells by the first character: a line of JSON is an object.
func guessFormat(text []byte) string {
	if bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		return formatJSONL
	}
	return formatCSV
}

// readRows reads an import file. A row that is wrong comes with an error that
// says where and why; others may follow it.
func readRows(text []byte, format string) iter.Seq2[row, error] {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // of spreadsheets
	rows := readCSV
	if format == formatJSONL {
		rows = readJSONL
	}
	return func(yield func(row, error) bool) {
		for r, err := range rows(text) {
			if err == nil {
				err = r.key.check()
			}
			if err != nil {
				err = fmt.Errorf("line %d: %w", r.line, err)
			}
			if !yield(row{r.line, r.key.ImportedKey}, err) {
				return
			}
		}
	}
}

// fileKey is a key as a file has it: with a digest, or with its plaintext, which
// is digested here and goes nowhere.
type fileKey struct {
	client.ImportedKey

	Key string `json:"key"`
}

type fileRow struct {
	line int
	key  fileKey
}

// check settles the digest, and refuses what the server would refuse of any row.
func (k *fileKey) check() error {
	switch {
	case k.Name == "":
		return errors.New("name is missing")
	case (k.Key == "") == (k.Digest == ""):
		return errors.New("a row has either a digest or a key")
	case k.Key != "":
		sum := sha256.Sum256([]byte(k.Key))
		k.Digest, k.Key = hex.EncodeToString(sum[:]), ""
	}
	sum, err := hex.DecodeString(k.Digest)
	if err != nil || len(sum) != sha256.Size {
		return errors.New("digest is not 64 hexadecimal digits")
	}
	k.Digest = hex.EncodeToString(sum) // in one spelling
	return nil
}

// maxRow bounds a line of JSON, in bytes: a batch of one row must not be longer.
const maxRow = maxBatchBytes

func readJSONL(text []byte) iter.Seq2[fileRow, error] {
	return func(yield func(fileRow, error) bool) {
		lines := bufio.NewScanner(bytes.NewReader(text))
		lines.Buffer(nil, maxRow)
		n := 0
		for lines.Scan() {
			n++
			if len(bytes.TrimSpace(lines.Bytes())) == 0 {
				continue
			}
			key, err := decodeRow(lines.Bytes())
			if !yield(fileRow{n, key}, err) {
				return
			}
		}
		if lines.Err() != nil {
			yield(fileRow{line: n + 1}, errors.New("the line is too long"))
		}
	}
}

func decodeRow(line []byte) (key fileKey, err error) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&key); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			member := strings.TrimPrefix(strings.TrimPrefix(wrong.Field, "ImportedKey."), "NewKey.") // of a line, not of our types
			return key, fmt.Errorf("%s is not of its type", member)
		}
		if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return key, fmt.Errorf("there is no member %s", name)
		}
		return key, errors.New("this is not one JSON object") // the cause may repeat a part of a key
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return key, errors.New("something follows the JSON object")
	}
	return key, nil
}

// column is one of a CSV file's.
type column struct {
	name string
	set  func(*fileKey, string) error
}

// csvColumns are the columns that a CSV file may have. Cells with several
// values have spaces between them; empty cells are left to the server.
func csvColumns() []column {
	text := func(field func(*fileKey) *string) func(*fileKey, string) error {
		return func(k *fileKey, s string) error {
			*field(k) = s
			return nil
		}
	}
	list := func(field func(*fileKey) *[]string) func(*fileKey, string) error {
		return func(k *fileKey, s string) error {
			*field(k) = strings.Fields(s)
			return nil
		}
	}
	return []column{
		{"digest", text(func(k *fileKey) *string { return &k.Digest })},
		{"key", text(func(k *fileKey) *string { return &k.Key })},
		{"public", text(func(k *fileKey) *string { return &k.Public })},
		{"name", text(func(k *fileKey) *string { return &k.Name })},
		{"project_id", text(func(k *fileKey) *string { return &k.ProjectID })},
		{"reach", text(func(k *fileKey) *string { return &k.Reach })},
		{"owner_id", text(func(k *fileKey) *string { return &k.OwnerID })},
		{"partner", text(func(k *fileKey) *string { return &k.Partner })},
		{"role", text(func(k *fileKey) *string { return &k.Role })},
		{"scopes", list(func(k *fileKey) *[]string { return &k.Scopes })},
		{"addresses", list(func(k *fileKey) *[]string { return &k.Restrictions.Addresses })},
		{"resources", setResources},
		{"expires_at", setExpiry},
		{"metadata", setMetadata},
	}
}

func setResources(k *fileKey, s string) error {
	var v resourcesValue
	for part := range strings.FieldsSeq(s) {
		if err := v.Set(part); err != nil {
			return err
		}
	}
	k.Restrictions.Resources = v
	return nil
}

func setExpiry(k *fileKey, s string) error {
	var v momentValue
	err := v.Set(s)
	k.ExpiresAt = v.Time
	return err
}

func setMetadata(k *fileKey, s string) error {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(s), &object) != nil || object == nil {
		return errors.New("this is not a JSON object")
	}
	k.Metadata = json.RawMessage(s)
	return nil
}

func readCSV(text []byte) iter.Seq2[fileRow, error] {
	return func(yield func(fileRow, error) bool) {
		records := csv.NewReader(bytes.NewReader(text))
		header, err := records.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		columns, err := csvHeader(header, err)
		if err != nil {
			yield(fileRow{line: 1}, err)
			return
		}
		for {
			cells, err := records.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
				if !yield(fileRow{line: wrong.StartLine}, wrong.Err) || !errors.Is(err, csv.ErrFieldCount) {
					return // what follows a broken quote cannot be told apart
				}
				continue
			}
			line, _ := records.FieldPos(0)
			key, err := csvRow(columns, cells)
			if !yield(fileRow{line, key}, err) {
				return
			}
		}
	}
}

func csvHeader(header []string, err error) ([]column, error) {
	if wrong, ok := errors.AsType[*csv.ParseError](err); ok {
		return nil, wrong.Err
	}
	known := csvColumns()
	columns := make([]column, len(header))
	for i, name := range header {
		at := slices.IndexFunc(known, func(c column) bool { return c.name == name })
		if at < 0 {
			return nil, errors.New("the first line names the columns, and there is no such column as its " + ordinal(i+1) + "; --help lists them")
		}
		if slices.Index(header, name) != i {
			return nil, fmt.Errorf("the column %s is there twice", name)
		}
		columns[i] = known[at]
	}
	return columns, nil
}

// ordinal counts columns. Their names are not repeated: in a file without a
// header the first line has keys.
func ordinal(n int) string {
	suffix := "th"
	switch {
	case n%100 >= 11 && n%100 <= 13:
	case n%10 == 1:
		suffix = "st"
	case n%10 == 2:
		suffix = "nd"
	case n%10 == 3:
		suffix = "rd"
	}
	return fmt.Sprint(n, suffix)
}

func csvRow(columns []column, cells []string) (key fileKey, err error) {
	for i, cell := range cells {
		if cell == "" {
			continue
		}
		if err := columns[i].set(&key, cell); err != nil {
			return key, fmt.Errorf("%s: %w", columns[i].name, err)
		}
	}
	return key, nil
}
