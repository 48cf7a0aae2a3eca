//go:build linux

package campaign

import (
	"bufio"
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// database is a PostgreSQL server of this campaign alone: it is made to fall.
type database struct {
	t     testing.TB
	url   string
	crash string // a program that lets it fall over and starts it again
}

// newDatabase starts one, which ends with the test.
func newDatabase(t testing.TB) *database {
	t.Helper()
	c := exec.Command("../scripts/with-postgres", "bash", "-c", `echo "$LATCHKEY_TEST_POSTGRES"; echo "$LATCHKEY_TEST_POSTGRES_CRASH"; cat`)
	c.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "LATCHKEY_TEST_POSTGRES") })
	c.Stderr = os.Stderr
	input, err := c.StdinPipe() // which ends when this process does, however it does
	if err != nil {
		t.Fatal(err)
	}
	output, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = input.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("the database: %v", err)
		}
	})
	lines := bufio.NewScanner(output)
	d := &database{t: t}
	for _, to := range []*string{&d.url, &d.crash} {
		if !lines.Scan() {
			t.Fatal("there is no PostgreSQL server: see above")
		}
		*to = lines.Text()
	}
	return d
}

// fall ends every process of the server at once, and starts it again: what was
// not on its disk by then is gone.
func (d *database) fall() {
	if out, err := exec.Command(d.crash).CombinedOutput(); err != nil {
		d.t.Errorf("the database does not come back: %v\n%s", err, out)
	}
}

// node serves the database from a folder of its own that has the key ring of another's.
func (d *database) node(of *server) *server {
	d.t.Helper()
	s := &server{t: d.t, dir: folder(d.t), store: of.store, key: of.key}
	s.takeRing(of)
	s.start()
	d.t.Cleanup(s.kill)
	return s
}

// takeRing makes the folder, with the key ring of another's.
func (s *server) takeRing(of *server) {
	s.t.Helper()
	ring, err := os.ReadFile(filepath.Join(of.dir, "keyring.json"))
	if err == nil {
		err = os.Mkdir(s.dir, 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, "keyring.json"), ring, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// connect is a way to the database beside the program.
func (d *database) connect() *pgx.Conn {
	d.t.Helper()
	conn, err := pgx.Connect(context.Background(), d.url)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (d *database) exec(statements ...string) {
	d.t.Helper()
	conn := d.connect()
	for _, statement := range statements {
		if _, err := conn.Exec(context.Background(), statement); err != nil {
			d.t.Fatal(err)
		}
	}
}

// ready waits until the server has found its store again.
func (s *server) ready() {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if s.call("GET", "/readyz", nil).ok() {
			return
		}
	}
	s.t.Fatalf("the server does not find its store again\n%s", s.log)
}

// TestCrashOnPostgres kills the server on a PostgreSQL database.
func TestCrashOnPostgres(t *testing.T) {
	c := newCrash(t, install(t, folder(t), "--database-url", newDatabase(t).url))
	rounds(t, 3, 50, func(n int) {
		c.load(n, func() { c.server.kill() })
		c.server.start()
		c.settle()
	})
	c.inspectAll()
}

// TestCrashOfPostgres lets the database fall over under a server that stays, and
// that goes on by itself when the database is back.
func TestCrashOfPostgres(t *testing.T) {
	d := newDatabase(t)
	c := newCrash(t, install(t, folder(t), "--database-url", d.url))
	rounds(t, 3, 50, func(n int) {
		c.load(n, d.fall)
		c.server.ready()
		c.settle()
	})
	c.inspectAll()
}

// TestDiskFullOfPostgres fills the disk under the database's tables.
func TestDiskFullOfPostgres(t *testing.T) {
	base := newDatabase(t)
	d := &disk{t: t, mount: mount(t), keys: map[string]string{}}
	at, err := url.Parse(base.url)
	if err != nil {
		t.Fatal(err)
	}
	// The tables' place belongs to the user whose the server is, as its folder does.
	info, err := os.Stat(at.Query().Get("host"))
	if err != nil {
		t.Fatal(err)
	}
	owner, _ := info.Sys().(*syscall.Stat_t)
	tables := filepath.Join(d.mount, "tables")
	for _, err := range []error{os.Chmod(filepath.Dir(d.mount), 0o755), os.Chmod(d.mount, 0o755), os.Mkdir(tables, 0o700), os.Chown(tables, int(owner.Uid), int(owner.Gid))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	base.exec("CREATE TABLESPACE small LOCATION '"+tables+"'", "CREATE DATABASE small TABLESPACE small")
	t.Cleanup(func() { base.exec("DROP DATABASE small WITH (FORCE)", "DROP TABLESPACE small") })
	at.Path = "/small"
	d.server = install(t, folder(t), "--database-url", at.String())
	t.Cleanup(d.server.kill)
	d.creates()
	d.fills(20)
}

// TestReadOnlyPostgres takes the right to write from the database's users, while
// they are connected.
func TestDiskReadOnlyOfPostgres(t *testing.T) {
	base := newDatabase(t)
	d := &disk{t: t, server: install(t, folder(t), "--database-url", base.url), keys: map[string]string{}}
	d.creates()
	set := func(value string) {
		base.exec("SET default_transaction_read_only = off", "ALTER SYSTEM SET default_transaction_read_only = "+value, "SELECT pg_reload_conf()")
		time.Sleep(50 * time.Millisecond) // the server's processes read it when they are idle
	}
	rounds(t, 1, 5, func(int) {
		set("on")
		d.refuses("read-only")
		set("off")
		d.recovers()
	})
	d.inspect()
}
