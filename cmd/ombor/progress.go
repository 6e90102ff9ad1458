package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// progress says on one line how far long work has come: rewritten in place on a
// terminal, a new line every five seconds elsewhere. Safe for concurrent use.
type progress struct {
	what     string
	unit     string
	out      io.Writer
	terminal bool
	started  time.Time

	mu      sync.Mutex
	done    float64 // share of the work, 0 to 1; negative when unknown
	count   int64   // units finished
	printed time.Time
	width   int
	noted   string // the last note
	notedAt time.Time
}

func newProgress(out io.Writer, what, unit string) *progress {
	return &progress{what: what, unit: unit, out: out, terminal: isTerminal(out), started: time.Now()}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// set reports the share of the work done (0 to 1) and the units finished.
func (p *progress) set(done float64, count int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.count = done, count
	every := 5 * time.Second
	if p.terminal {
		every = 100 * time.Millisecond
	}
	if time.Since(p.printed) < every {
		return
	}
	p.print()
}

// note says something between two states; the same again at most every five seconds.
func (p *progress) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if text == p.noted && time.Since(p.notedAt) < 5*time.Second {
		return
	}
	p.noted, p.notedAt = text, time.Now()
	if p.terminal && p.width > 0 {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.width))
	}
	fmt.Fprintln(p.out, text)
}

// end prints the last state and leaves the line.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print()
	if p.terminal {
		fmt.Fprintln(p.out)
	}
}

func (p *progress) print() {
	p.printed = time.Now()
	elapsed := time.Since(p.started)
	rate := float64(p.count) / max(elapsed.Seconds(), 0.001)
	line := fmt.Sprintf("%s %s %s, %s/s", p.what, grouped(p.count), p.unit, grouped(int64(rate)))
	if p.done >= 0 {
		line = fmt.Sprintf("%s %s %3.0f %% %s %s, %s/s", p.what, bar(p.done, 24), 100*p.done, grouped(p.count), p.unit, grouped(int64(rate)))
		if p.done > 0.02 && p.done < 1 {
			left := time.Duration(float64(elapsed) * (1 - p.done) / p.done).Round(time.Second)
			line += fmt.Sprintf(", %s left", left)
		}
	}
	if !p.terminal {
		fmt.Fprintln(p.out, line)
		return
	}
	pad := max(0, p.width-len([]rune(line)))
	p.width = len([]rune(line))
	fmt.Fprintf(p.out, "\r%s%s", line, strings.Repeat(" ", pad))
}

// bar draws a share of 0 to 1 with eighths of a block.
func bar(share float64, width int) string {
	share = min(max(share, 0), 1)
	eighths := int(share*float64(width)*8 + 0.5)
	full, rest := eighths/8, eighths%8
	s := strings.Repeat("█", full)
	if rest > 0 {
		s += string([]rune(" ▏▎▍▌▋▊▉")[rest])
		full++
	}
	return s + strings.Repeat("·", width-full)
}

// grouped writes a whole number with thin groups of three: 8 300 000.
func grouped(n int64) string {
	s := fmt.Sprintf("%d", n)
	sign := ""
	if n < 0 {
		sign, s = "−", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return sign + s
}
