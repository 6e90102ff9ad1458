package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"ombor/internal/problem"
)

// The operator's commands (verify, compact, rebuild, backup) work inside a running
// server, which alone knows what is being loaded at this moment. It answers them under
// /operator/, to whoever can read the token in running.json: the operator of this
// machine. When no server runs, the command starts one for itself, on a port of
// its own, and stops it afterwards.

const operatorPath = "/operator/"

// operation is one of them: it reads its request from decode and returns what is printed.
type operation func(p *program, ctx context.Context, decode func(any) error, report reporter) (any, error)

// reporter says how far an operation is: the share of a stage, 0 to 1, and what was counted.
type reporter func(stage string, done float64, count uint64)

var operations = map[string]operation{
	"verify": (*program).verify, "compact": (*program).compact, "rebuild": (*program).rebuild, "backup": (*program).backup, "retain": (*program).retain, "erase": (*program).erase, "rotate": (*program).rotate, "audit": (*program).verifyAudit, "audit-retire": (*program).retireAudit,
}

// frame is one line of an answer: progress, and at the end a result or a problem.
type frame struct {
	Stage   string            `json:"stage,omitempty"`
	Done    float64           `json:"done,omitempty"`
	Count   uint64            `json:"count,omitempty"`
	Result  json.RawMessage   `json:"result,omitempty"`
	Problem *problem.Document `json:"problem,omitempty"`
	Status  int               `json:"status,omitempty"` // of the problem
}

// tokenFile is the file in the data folder that holds the machine's token.
const tokenFile = "machine.token"

// machineToken is the secret of the operator of a machine, in a file of the data folder that only
// its owner may read. It is made on the first run and outlives restarts, so that a command goes
// on through one; whoever removes the file and starts again has another.
func machineToken(data string) (string, error) {
	name := filepath.Join(data, tokenFile)
	if text, err := os.ReadFile(name); err == nil && len(strings.TrimSpace(string(text))) >= 26 {
		return strings.TrimSpace(string(text)), nil
	}
	token := rand.Text()
	if err := os.WriteFile(name, []byte(token+"\n"), 0o600); err != nil {
		return "", problem.Wrap(err, problem.Unavailable, "", "the data folder %s cannot be written", data)
	}
	return token, nil
}

// operator answers the operator's commands, and keeps figures back while the warehouse
// is being rebuilt.
func (p *program) operator(next http.Handler) http.Handler {
	var busy sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ours := strings.CutPrefix(r.URL.Path, operatorPath)
		if !ours {
			if isFigure(r.URL.Path) {
				if err := p.whole(); err != nil {
					problem.Write(w, err)
					return
				}
			}
			next.ServeHTTP(w, r)
			return
		}
		run := operations[name]
		if run == nil || r.Method != http.MethodPost {
			problem.Write(w, problem.New(problem.NotFound, "this server does not know the operation %q; is the command of another version?", name))
			return
		}
		_, err := p.gate.Enter(r, "POST "+operatorPath+name)
		switch {
		case err != nil:
			problem.Write(w, err)
			return
		case !busy.TryLock():
			problem.Write(w, problem.New(problem.Conflict, "another of the operator's commands is at work; wait until it has ended"))
			return
		}
		defer busy.Unlock()
		control := http.NewResponseController(w)
		_ = control.SetWriteDeadline(time.Time{}) // a server that cannot lift its limit ends the answer, which the command says
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.WriteHeader(http.StatusOK)
		var mu sync.Mutex
		var sent time.Time
		send := func(f frame) {
			line, err := json.Marshal(f)
			if err != nil {
				return
			}
			_, _ = w.Write(append(line, '\n')) // when nobody listens any more ctx ends
			_ = control.Flush()
		}
		report := func(stage string, done float64, count uint64) {
			mu.Lock()
			defer mu.Unlock()
			if now := time.Now(); now.Sub(sent) >= 100*time.Millisecond {
				sent = now
				send(frame{Stage: stage, Done: done, Count: count})
			}
		}
		var body []byte
		body, err = io.ReadAll(io.LimitReader(r.Body, 1<<20))
		var result any
		if err == nil {
			result, err = run(p, r.Context(), func(v any) error { return json.Unmarshal(body, v) }, report)
		}
		mu.Lock()
		defer mu.Unlock()
		var last frame
		if err == nil {
			last.Result, err = json.Marshal(result)
		}
		if err != nil {
			doc := problem.DocumentOf(err)
			if problem.KindOf(err) == problem.Internal { // the operator is told what others are not
				doc.Detail = err.Error()
			}
			last = frame{Problem: &doc, Status: problem.KindOf(err).Status()}
		}
		send(last)
	})
}

// whole is an error while the warehouse is made from the lake, and does not hold everything.
func (p *program) whole() error {
	words, rebuilding := p.loader.Rebuilding()
	if !rebuilding {
		return nil
	}
	return &problem.Error{Kind: problem.Unavailable, Message: words + "; events are accepted meanwhile", RetryAfter: 2 * time.Second}
}

// isFigure says whether a path shows figures of the warehouse.
func isFigure(path string) bool {
	switch room, _, _ := strings.Cut(strings.TrimPrefix(path, "/v1/"), "/"); room {
	case "scorecard", "changes", "targets", "projects", "portfolio", "services", "letters":
		return true
	case "kpis":
		return strings.Count(path, "/") > 3 // its definition is no figure
	}
	return path == "/v1/quality/findings"
}

// operate runs an operation in the server of the data folder, or in one of its own, and
// reads its result. unit is what the operation counts.
func operate(c *cobra.Command, name, unit string, request, result any) error {
	data, _ := c.Flags().GetString("data")
	if _, err := readRunning(data); err == nil {
		return askOperator(c, name, unit, request, result)
	}
	cfg, err := readConfig(c)
	if err != nil {
		return err
	}
	cfg.Listen, cfg.unseeded = "127.0.0.1:0", true
	fmt.Fprintf(c.ErrOrStderr(), "no server runs on %s: starting its parts for this command\n", cfg.Data)
	p, err := openProgram(c.Context(), cfg, io.Discard)
	if err != nil {
		return err
	}
	err = p.settled(c.Context())
	if err == nil {
		err = askOperator(c, name, unit, request, result)
	}
	return errors.Join(err, p.close())
}

// settled returns when the loader is at work, or stands by, or has stopped.
func (p *program) settled(ctx context.Context) error {
	_, _ = p.loader.WaitRole(ctx) // what stopped it is for the operation to find
	return ctx.Err()
}

// askOperator sends the request to a running server and shows how far it is.
func askOperator(c *cobra.Command, name, unit string, request, result any) error {
	server, err := dial(c)
	if err != nil {
		return err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	response, err := server.do(c.Context(), http.MethodPost, operatorPath+name, http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var bar *progress
	stage := ""
	lines := json.NewDecoder(response.Body)
	for {
		var f frame
		if err := lines.Decode(&f); err != nil {
			if c.Context().Err() != nil {
				return c.Context().Err()
			}
			return problem.Wrap(err, problem.Unavailable, "", "the server ended before 'ombor %s' was done; run it again", name)
		}
		if f.Stage != "" && f.Stage != stage {
			if bar != nil {
				bar.end()
			}
			stage, bar = f.Stage, newProgress(c.ErrOrStderr(), f.Stage, unit)
		}
		if f.Stage != "" {
			bar.set(f.Done, int64(f.Count))
			continue
		}
		if bar != nil {
			bar.end()
		}
		if f.Problem != nil {
			return &problem.Error{Kind: kindOfStatus(f.Status), Message: f.Problem.Detail, Field: f.Problem.Field}
		}
		return json.Unmarshal(f.Result, result)
	}
}

// operatorFlags are those of a command that works on the parts of a data folder.
func operatorFlags(c *cobra.Command) {
	serveFlags(c)
	for _, name := range []string{"keys", "pack", "journal", "warehouse", "lake", "access", "tls-cert", "tls-key", "memory-limit", "config"} {
		f := c.Flags().Lookup(name)
		f.Usage = "as of 'ombor serve'; only asked when no server runs on --data"
	}
	_ = c.Flags().MarkHidden("listen") // it exists: serveFlags made it
	c.Flags().String("url", "", "")
	c.Flags().String("token", "", "")
	_ = c.Flags().MarkHidden("url")
	_ = c.Flags().MarkHidden("token")
}

// printJSON writes a result as it came.
func printJSON(c *cobra.Command, v any) error {
	encoder := json.NewEncoder(c.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
