package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"ombor/internal/problem"
	"ombor/warehouse/engine"
)

// finding is one line of the doctor's answer.
type finding struct {
	What  string `json:"what"`
	OK    bool   `json:"ok"`
	Value string `json:"value"`
	Do    string `json:"do,omitempty"` // what to do when it is not in order
}

func newDoctor() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this machine and this installation can do, and what is missing",
		Long: `Looks at the machine, the engine's library, the data folder and a running server,
and says for each whether it is in order and what to do if not. Starts an engine in
a temporary folder to prove that it works. Exit code 1 when something is missing.`,
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			format, err := formatFlag(c, "table", "json")
			if err != nil {
				return err
			}
			findings := examine(c)
			if format == "json" {
				encoder := json.NewEncoder(c.OutOrStdout())
				encoder.SetIndent("", "  ")
				if err := encoder.Encode(findings); err != nil {
					return err
				}
			} else {
				printFindings(c.OutOrStdout(), findings)
			}
			var missing []string
			for _, f := range findings {
				if !f.OK {
					missing = append(missing, f.What)
				}
			}
			if len(missing) > 0 {
				return problem.New(problem.Unavailable, "not in order: %s", strings.Join(missing, ", "))
			}
			return nil
		},
	}
	clientFlags(c)
	c.Flags().String("format", "table", "table or json")
	return c
}

func printFindings(out io.Writer, findings []finding) {
	for _, f := range findings {
		mark := "ok "
		if !f.OK {
			mark = "NO "
		}
		fmt.Fprintf(out, "%s %-16s %s\n", mark, f.What, f.Value)
		if f.Do != "" {
			fmt.Fprintf(out, "    %-16s → %s\n", "", f.Do)
		}
	}
}

func examine(c *cobra.Command) []finding {
	findings := []finding{
		{What: "ombor", OK: true, Value: version + ", " + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH},
		{What: "processors", OK: true, Value: fmt.Sprint(runtime.NumCPU())},
	}
	var memory unix.Sysinfo_t
	if unix.Sysinfo(&memory) == nil {
		total := memory.Totalram * uint64(memory.Unit)
		f := finding{What: "memory", OK: total >= 4<<30, Value: fmt.Sprintf("%.1f GiB", float64(total)/(1<<30))}
		if !f.OK {
			f.Do = "the embedded engine wants 2 GiB for itself: use a machine with 4 GiB or --warehouse with a server"
		}
		findings = append(findings, f)
	}
	findings = append(findings, examineEngine(c.Context())...)
	data, _ := c.Flags().GetString("data")
	findings = append(findings, examineDisk(data))
	findings = append(findings, examineServer(c))
	return findings
}

// examineEngine loads the library and runs one statement in a temporary folder.
func examineEngine(ctx context.Context) []finding {
	library, err := engine.FindLibrary("")
	if err != nil {
		return []finding{{What: "engine", Value: err.Error(), Do: "run 'make build', or set OMBOR_LIBCHDB"}}
	}
	dir, err := os.MkdirTemp("", "ombor-doctor-")
	if err != nil {
		return []finding{{What: "engine", Value: err.Error(), Do: "make the temporary folder writable"}}
	}
	defer os.RemoveAll(dir)
	started := time.Now()
	process, err := engine.Start(ctx, engine.Config{Path: filepath.Join(dir, "engine"), Library: library})
	if err != nil {
		return []finding{{What: "engine", Value: err.Error(), Do: "see docs/engine.md"}}
	}
	defer process.Close()
	state := process.State()
	return []finding{
		{What: "engine", OK: true, Value: fmt.Sprintf("ClickHouse %s, embedded, ready in %d ms", state.Version, time.Since(started).Milliseconds())},
		{What: "engine library", OK: true, Value: library},
		{What: "engine limits", OK: true, Value: "memory 2 GiB or half of the machine, 16 statements at once; --memory-limit changes the first"},
	}
}

// examineDisk asks for free space where the data are or will be.
func examineDisk(data string) finding {
	dir, err := filepath.Abs(data)
	if err != nil {
		return finding{What: "disk", Value: err.Error()}
	}
	for {
		if _, err := os.Stat(dir); err == nil || dir == "/" {
			break
		}
		dir = filepath.Dir(dir)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return finding{What: "disk", Value: err.Error(), Do: "name a folder that can be read with --data"}
	}
	free := fs.Bavail * uint64(fs.Bsize)
	f := finding{What: "disk", OK: free >= 1<<30, Value: fmt.Sprintf("%.1f GiB free under %s", float64(free)/(1<<30), dir)}
	if !f.OK {
		f.Do = "below 64 MB the door refuses events until there is room: free some, or name another folder with --data"
	}
	return f
}

func examineServer(c *cobra.Command) finding {
	server, err := dial(c)
	if err != nil {
		return finding{What: "server", OK: true, Value: "none runs on this data folder"}
	}
	var status struct {
		Problems   []string `json:"problems"`
		Durability string   `json:"durability"`
	}
	if err := server.get(c.Context(), "/v1/status", nil, &status); err != nil {
		return finding{What: "server", Value: err.Error(), Do: "read its log"}
	}
	f := finding{What: "server", OK: len(status.Problems) == 0, Value: server.url + " " + status.Durability}
	if !f.OK {
		f.Do = strings.Join(status.Problems, "; ")
	}
	return f
}
