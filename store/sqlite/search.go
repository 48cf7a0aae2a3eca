package sqlite

import (
	"database/sql"
	"encoding/hex"
	"strings"

	"latchkey.dev/latchkey"
)

// The index of names holds each name's grams: every three consecutive bytes of
// the folded name, behind three random bytes of its organization's id, in
// hexadecimal. A text of three bytes or more can only be in a name that has all
// the text's grams, so the index gives the candidates and the names themselves
// decide. What one organization calls its keys does not slow another's search.
const gramLen = 3

// grams are the words under which text is indexed or looked up; none for a text
// that is too short.
func grams(organization latchkey.ID, text string) []string {
	var words []string
	seen := map[string]bool{}
	gram := make([]byte, 2*gramLen)
	copy(gram, organization[len(organization)-gramLen:])
	for i := range max(0, len(text)-gramLen+1) {
		copy(gram[gramLen:], text[i:])
		if word := hex.EncodeToString(gram); !seen[word] {
			seen[word] = true
			words = append(words, word)
		}
	}
	return words
}

// nameBatch is how many keys enter the index of names at a time: one by one they
// would cost several times as much. A search looks at the others one by one.
const nameBatch = 512

// naming is how far the index of names is.
type naming struct {
	end     int64 // the ordinal of the last key in it
	waiting int   // keys above that
}

func (n *naming) read(s *session) error {
	return s.get([]any{&n.end, &n.waiting}, `SELECT e.ordinal, (SELECT count(*) FROM keys k WHERE k.ordinal > e.ordinal) FROM key_names_end e`)
}

// advance brings the keys that wait into the index, once there are enough.
func (n *naming) advance(s *session) error {
	if n.waiting < nameBatch {
		return nil
	}
	type named struct {
		ordinal      int64
		organization latchkey.ID
		name         string
	}
	var batch []named
	err := s.each(func(rows *sql.Rows) error {
		var k named
		err := rows.Scan(&k.ordinal, (*idColumn)(&k.organization), &k.name)
		batch = append(batch, k)
		return err
	}, `SELECT ordinal, organization, name_folded FROM keys WHERE ordinal > ? ORDER BY ordinal`, n.end)
	if err != nil {
		return err
	}
	for _, k := range batch {
		if err := s.indexName(addName, k.organization, k.ordinal, k.name); err != nil {
			return err
		}
		n.end = k.ordinal
	}
	n.waiting = 0
	_, err = s.exec(`UPDATE key_names_end SET ordinal = ?`, n.end)
	return err
}

// rename replaces a key's folded name in the index, if it is there.
func (n *naming) rename(s *session, organization latchkey.ID, key int64, before, after string) error {
	if before == after || key > n.end {
		return nil
	}
	if err := s.indexName(removeName, organization, key, before); err != nil {
		return err
	}
	return s.indexName(addName, organization, key, after)
}

const (
	addName    = `INSERT INTO key_names (rowid, grams) VALUES (?, ?)`
	removeName = `INSERT INTO key_names (key_names, rowid, grams) VALUES ('delete', ?, ?)`
)

func (s *session) indexName(text string, organization latchkey.ID, key int64, name string) error {
	words := grams(organization, name)
	if len(words) == 0 {
		return nil
	}
	_, err := s.exec(text, key, strings.Join(words, " "))
	return err
}

// kidRange is the range of kids that begin with text; false if none can.
func kidRange(text string) (from, to string, ok bool) {
	if len(text) > latchkey.KIDLen {
		return "", "", false
	}
	for i := range len(text) {
		c := text[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "", "", false
		}
	}
	return text, text + "~", true // which is above every character of a kid
}
