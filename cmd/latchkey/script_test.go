package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience is how long a script waits for what must come. It decides nothing:
// whoever waits that long has failed.
const patience = 30 * time.Second

// eventually tries again until ok is true.
func eventually(ts *testscript.TestScript, what string, ok func() bool) {
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

type processesKey struct{}

// processes are those that a script started, by the name it gave them.
type processes map[string]*process

type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	state *os.ProcessState

	upload net.Conn // a request of which the server has the first half
}

func find(ts *testscript.TestScript, args []string) *process {
	if len(args) > 0 {
		if p := ts.Value(processesKey{}).(processes)[args[0]]; p != nil {
			return p
		}
	}
	ts.Fatalf("name a process that was started")
	return nil
}

// start NAME [VAR=value ...] ARGS...: runs latchkey in the background, with its
// output in NAME.out and NAME.err, and waits until it says where it listens;
// $NAME is that URL, $NAME_host its host and port.
func scriptStart(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME [VAR=value ...] ARGS...")
	}
	name, args := args[0], args[1:]
	var settings []string
	for strings.Contains(args[0], "=") {
		settings, args = append(settings, args[0]), args[1:]
	}
	p := &process{cmd: exec.Command("latchkey", args...), ended: make(chan struct{})}
	out, err := os.Create(ts.MkAbs(name + ".out"))
	ts.Check(err)
	log, err := os.Create(ts.MkAbs(name + ".err"))
	ts.Check(err)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = ts.MkAbs("."), out, log
	p.cmd.Env = append([]string{hastily, "PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "TMPDIR=" + ts.Getenv("TMPDIR")}, settings...)
	ts.Check(p.cmd.Start())
	go func() {
		_ = p.cmd.Wait() // the state says how it ended
		p.state = p.cmd.ProcessState
		close(p.ended)
	}()
	ts.Defer(func() {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.ended
		_, _ = out.Close(), log.Close()
	})
	ts.Value(processesKey{}).(processes)[name] = p

	listens := regexp.MustCompile(`(?m)listens on (\S+)\n|"url":"([^"]+)"`)
	eventually(ts, name+" says where it listens", func() bool {
		found := listens.FindStringSubmatch(ts.ReadFile(name + ".out"))
		if found == nil {
			select {
			case <-p.ended:
				ts.Fatalf("%s ended: %v\n%s", name, p.state, ts.ReadFile(name+".err"))
			default:
			}
			return false
		}
		at, err := url.Parse(found[1] + found[2])
		ts.Check(err)
		ts.Setenv(name, at.String())
		ts.Setenv(name+"_host", at.Host)
		return true
	})
}

// signal NAME SIGNAL
func scriptSignal(ts *testscript.TestScript, neg bool, args []string) {
	p := find(ts, args)
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL, "HUP": syscall.SIGHUP}
	if neg || len(args) != 2 || signals[args[1]] == nil {
		ts.Fatalf("usage: signal NAME TERM|INT|KILL|HUP")
	}
	ts.Check(p.cmd.Process.Signal(signals[args[1]]))
}

// ended NAME STATUS: waits until the process has ended, with that exit status or
// by that signal.
func scriptEnded(ts *testscript.TestScript, neg bool, args []string) {
	p := find(ts, args)
	if neg || len(args) != 2 {
		ts.Fatalf("usage: ended NAME STATUS|SIGNAL")
	}
	eventually(ts, args[0]+" ends", func() bool {
		select {
		case <-p.ended:
			return true
		default:
			return false
		}
	})
	status := strconv.Itoa(p.state.ExitCode())
	if w := p.state.Sys().(syscall.WaitStatus); w.Signaled() {
		status = w.Signal().String()
	}
	if status != args[1] {
		ts.Fatalf("%s ended with %s, not %s\n%s", args[0], status, args[1], ts.ReadFile(args[0]+".err"))
	}
}

// throughSocket makes every connection one to the socket.
func throughSocket(ts *testscript.TestScript, socket string) *http.Transport {
	path := ts.MkAbs(socket)
	return &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
}

// follow SOCKET: follows the events until the server ends that, or the script.
func scriptFollow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: follow SOCKET")
	}
	r, err := http.NewRequest(http.MethodGet, "http://latchkey/v1/events", http.NoBody)
	ts.Check(err)
	r.Header.Set("Accept", "text/event-stream")
	answer, err := throughSocket(ts, args[0]).RoundTrip(r)
	ts.Check(err)
	ts.Defer(func() { _ = answer.Body.Close() })
	line, err := bufio.NewReader(answer.Body).ReadString('\n')
	ts.Check(err)
	if answer.StatusCode != http.StatusOK || !strings.HasPrefix(line, "id: ") {
		ts.Fatalf("no stream of events: %s %q", answer.Status, line)
	}
}

// http [-key KEY] METHOD URL [BODY]: prints the status and, below it, the body.
// unix:SOCKET:/path is a URL too.
func scriptHTTP(ts *testscript.TestScript, neg bool, args []string) {
	header := http.Header{"Content-Type": {"application/json"}}
	if len(args) > 1 && args[0] == "-key" {
		header.Set("Authorization", "Bearer "+args[1])
		args = args[2:]
	}
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: http [-key KEY] METHOD URL [BODY]")
	}
	transport, target := &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true, TLSClientConfig: anyCertificate()}, args[1]
	if rest, ok := strings.CutPrefix(target, "unix:"); ok {
		socket, path, _ := strings.Cut(rest, ":")
		transport, target = throughSocket(ts, socket), "http://latchkey"+path
	}
	var body io.Reader
	if len(args) == 3 {
		body = strings.NewReader(args[2])
	}
	r, err := http.NewRequest(args[0], target, body)
	ts.Check(err)
	r.Header = header
	client := http.Client{Transport: transport, Timeout: patience}
	answer, err := client.Do(r)
	if neg {
		if err == nil {
			ts.Fatalf("there was an answer: %s", answer.Status)
		}
		return
	}
	ts.Check(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d\n%s\n", answer.StatusCode, text)
}

// upload begin NAME KEY: sends half of a request that makes a key, to the
// process $NAME, which then waits for the rest. upload finish NAME: sends the
// rest, and prints the answer.
func scriptUpload(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: upload begin NAME KEY | upload finish NAME")
	}
	p := find(ts, args[1:])
	const body = `{"name": "a slow client"}`
	switch {
	case args[0] == "begin" && len(args) == 3:
		var err error
		p.upload, err = net.Dial("tcp", ts.Getenv(args[1]+"_host"))
		ts.Check(err)
		ts.Defer(func() { _ = p.upload.Close() })
		ts.Check(p.upload.SetDeadline(time.Now().Add(patience)))
		_, err = fmt.Fprintf(p.upload, "POST /v1/keys HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"+
			"Content-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", args[2], len(body))
		ts.Check(err)
		// 100 Continue is sent when the operation reads the body: it is in flight.
		line, err := bufio.NewReader(io.LimitReader(p.upload, int64(len("HTTP/1.1 100 Continue\r\n\r\n")))).ReadString('\n')
		ts.Check(err)
		if line != "HTTP/1.1 100 Continue\r\n" {
			ts.Fatalf("the server does not wait for the body: %q", line)
		}
		_, err = io.WriteString(p.upload, body[:len(body)/2])
		ts.Check(err)
	case args[0] == "finish" && len(args) == 2 && p.upload != nil:
		_, err := io.WriteString(p.upload, body[len(body)/2:])
		ts.Check(err)
		answer, err := http.ReadResponse(bufio.NewReader(p.upload), nil)
		ts.Check(err)
		text, err := io.ReadAll(answer.Body)
		ts.Check(err)
		fmt.Fprintf(ts.Stdout(), "%d\n%s\n", answer.StatusCode, text)
	default:
		ts.Fatalf("usage: upload begin NAME KEY | upload finish NAME")
	}
}

// json FILE MEMBER VARIABLE: sets the variable to that member of the object in
// the file, which may be stdout.
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: json FILE MEMBER VARIABLE")
	}
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &object))
	value, ok := object[args[1]].(string)
	if !ok {
		ts.Fatalf("%s has no text %q", args[0], args[1])
	}
	ts.Setenv(args[2], value)
}

// sql FILE STATEMENT: changes a store behind the program's back.
func scriptSQL(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: sql FILE STATEMENT")
	}
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = db.Exec(args[1])
	ts.Check(errors.Join(err, db.Close()))
}

// until grep PATTERN FILE, until gone FILE, until refused HOST:PORT: waits until
// the pattern is in the file, the file is gone, nobody listens there any more.
func scriptUntil(ts *testscript.TestScript, neg bool, args []string) {
	switch {
	case !neg && len(args) == 3 && args[0] == "grep":
		pattern := regexp.MustCompile("(?m)" + args[1])
		eventually(ts, args[1]+" is in "+args[2], func() bool { return pattern.MatchString(ts.ReadFile(args[2])) })
	case !neg && len(args) == 2 && args[0] == "gone":
		eventually(ts, args[1]+" is gone", func() bool {
			_, err := os.Lstat(ts.MkAbs(args[1]))
			return errors.Is(err, os.ErrNotExist)
		})
	case !neg && len(args) == 2 && args[0] == "refused":
		eventually(ts, args[1]+" takes no connections", func() bool {
			c, err := net.Dial("tcp", args[1])
			if err == nil {
				_ = c.Close()
			}
			return errors.Is(err, syscall.ECONNREFUSED)
		})
	default:
		ts.Fatalf("usage: until grep PATTERN FILE | until gone FILE | until refused HOST:PORT")
	}
}

// mode MODE FILE...: the files have exactly these permissions.
func scriptMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode MODE FILE...")
	}
	for _, name := range args[1:] {
		info, err := os.Lstat(ts.MkAbs(name))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
			ts.Fatalf("%s has mode %s, not %s", name, got, args[0])
		}
	}
}

// contents FILE VARIABLE: sets the variable to what is in the file.
func scriptContents(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: contents FILE VARIABLE")
	}
	ts.Setenv(args[1], ts.ReadFile(args[0]))
}

// status N PROGRAM ARGS...: runs a program that ends with that exit status.
func scriptStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	exit, ended := errors.AsType[*exec.ExitError](err)
	if err != nil && !ended {
		ts.Fatalf("%v", err)
	}
	got := "0"
	if ended {
		got = strconv.Itoa(exit.ExitCode())
	}
	if got != args[0] {
		ts.Fatalf("%s ended with status %s, not %s", args[1], got, args[0])
	}
}
