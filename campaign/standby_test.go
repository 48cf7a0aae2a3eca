//go:build linux

package campaign

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// What makes a copy of the database in the folder next, and what puts that in the
// database's place.
const (
	copies    = `"${as[@]}" "$bin/pg_basebackup" -D "$folder/next" -h "$folder" -U postgres -c fast -X stream`
	takesOver = `rm -rf "$folder/data.old" && mv "$folder/data" "$folder/data.old" && mv "$folder/next" "$folder/data" &&
		"$folder/start" && "${as[@]}" "$bin/pg_ctl" -D "$folder/data" -w promote >/dev/null && rm -rf "$folder/data.old"`
)

// failOver ends the database and goes on from a standby that has heard nothing for
// a while: what was committed meanwhile it lacks.
func (d *database) failOver(deaf time.Duration) {
	d.failOverWithout(func() { time.Sleep(deaf) })
}

// failOverWithout is failOver to a standby that does not hear of what unheard does.
func (d *database) failOverWithout(unheard func()) {
	d.standby("copies", copies+` && touch "$folder/next/standby.signal" && chown --reference="$folder/data" "$folder/next/standby.signal"`)
	unheard()
	d.standby("takes over", `"$folder/stop" && `+takesOver)
}

// failOverWith ends the database and goes on from a standby for which every commit
// waits, those of heard as well.
func (d *database) failOverWith(heard func()) {
	d.standby("follows", copies+` -R && "${as[@]}" "$bin/pg_ctl" -D "$folder/next" -w -l "$folder/next/log" \
		-o "-c listen_addresses='' -c unix_socket_directories='$folder/next' -c max_connections=400 -c track_commit_timestamp=on" start >/dev/null`)
	d.exec(`ALTER SYSTEM SET synchronous_standby_names = '*'`, `SELECT pg_reload_conf()`)
	for end := time.Now().Add(time.Minute); d.count(`SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'`) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			d.t.Fatal("the standby does not follow")
		}
	}
	heard()
	d.standby("takes over", `"$folder/stop" && "${as[@]}" "$bin/pg_ctl" -D "$folder/next" -w -m fast stop >/dev/null && `+takesOver)
}

// count is a number that the database tells.
func (d *database) count(query string) (n int) {
	d.t.Helper()
	conn := d.connect()
	if err := conn.QueryRow(context.Background(), query).Scan(&n); err != nil {
		d.t.Fatal(err)
	}
	return n
}

func (d *database) standby(what, script string) {
	d.t.Helper()
	at, err := url.Parse(d.url)
	if err != nil {
		d.t.Fatal(err)
	}
	base := filepath.Dir(d.crash)
	if at.Query().Get("host") == "" {
		d.t.Fatal("the database is in a container, which has no standby: install the package postgresql, and run this again")
	}
	c := exec.Command("bash", "-c", `set -euo pipefail
		folder=$1 as=()
		bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/pg_basebackup /usr/pgsql-*/bin/pg_basebackup 2>/dev/null | sort -V | tail -n 1)")
		[ "$(id -u)" -ne 0 ] || as=(runuser -u "$(stat -c %U "$folder")" --)
		cd "$folder"
		`+script, "bash", base)
	c.Env = os.Environ()
	if out, err := c.CombinedOutput(); err != nil {
		d.t.Fatalf("the standby %s: %v\n%s", what, err, out)
	}
}
