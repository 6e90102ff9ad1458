package natstest

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Direction is what a [Wire] loses.
type Direction int

const (
	Requests Direction = iota // what clients publish and ask: PUB and HPUB
	Answers                   // what they are answered and sent: MSG and HMSG
)

func (d Direction) String() string { return [...]string{"requests", "answers"}[d] }

// Wire passes connections on to a server, frame by frame, and loses a chosen one. The
// connection goes on, so that who waits for the frame finds out by himself.
type Wire struct {
	listener net.Listener

	mu   sync.Mutex
	lose Direction
	at   int    // the frame that is lost, from 1; 0 is none
	with string // what its head must begin with, after the verb
	n    int    // such frames in that direction since Lose
	lost string
	open map[net.Conn]bool
}

// Lossy puts a wire before a server, for the length of the test.
func Lossy(t testing.TB, s *Server) *Wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &Wire{listener: l, open: map[net.Conn]bool{}}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", s.addr)
			if err != nil {
				client.Close()
				continue
			}
			w.mu.Lock()
			w.open[client], w.open[server] = true, true
			w.mu.Unlock()
			go w.pass(client, server, Requests)
			go w.pass(server, client, Answers)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		w.mu.Lock()
		defer w.mu.Unlock()
		for c := range w.open {
			c.Close()
		}
	})
	return w
}

// URL is the wire's address, in the place of the server's.
func (w *Wire) URL() string { return "nats://" + w.listener.Addr().String() }

// Lose lets the ith frame from now on in a direction be lost, from 1; 0 is none.
func (w *Wire) Lose(d Direction, i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose, w.at, w.with, w.n, w.lost = d, i, "", 0, ""
}

// LoseNext lets the next frame with a subject be lost.
func (w *Wire) LoseNext(d Direction, subject string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose, w.at, w.with, w.n, w.lost = d, 1, subject+" ", 0, ""
}

// Lost is the head of the frame that was lost, "" when none was yet.
func (w *Wire) Lost() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// turn says whether a frame with this head is the one to lose.
func (w *Wire) turn(d Direction, head string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, rest, _ := strings.Cut(head, " ")
	if d != w.lose || w.at == 0 || !strings.HasPrefix(rest, w.with) {
		return false
	}
	w.n++
	if w.n == w.at {
		w.lost = strings.TrimSpace(head)
		return true
	}
	return false
}

// pass reads the frames of the NATS client protocol: a line, and with PUB, HPUB, MSG and
// HMSG as many bytes as its last word says.
func (w *Wire) pass(from, to net.Conn, d Direction) {
	defer func() {
		from.Close()
		to.Close()
		w.mu.Lock()
		delete(w.open, from)
		w.mu.Unlock()
	}()
	in, out := bufio.NewReaderSize(from, 64<<10), bufio.NewWriterSize(to, 64<<10)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		body, lost := []byte(nil), false
		words := strings.Fields(line)
		if len(words) > 0 {
			switch words[0] {
			case "PUB", "HPUB", "MSG", "HMSG":
				n, err := strconv.Atoi(words[len(words)-1])
				if err != nil {
					return
				}
				body = make([]byte, n+2)
				if _, err := io.ReadFull(in, body); err != nil {
					return
				}
				lost = w.turn(d, line)
			}
		}
		if !lost {
			if _, err := out.WriteString(line); err != nil {
				return
			}
			if _, err := out.Write(body); err != nil {
				return
			}
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return
			}
		}
	}
}
