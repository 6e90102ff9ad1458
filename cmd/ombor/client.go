package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ombor/internal/problem"
)

// client talks to a running server.
type client struct {
	url   string
	page  string // where a person opens the page; url unless the server has an address for people
	token string
	http  http.Client
}

// running is what a server writes into its data folder, so that the commands on
// the same machine find it. The file is 0600 and goes when the server stops.
type running struct {
	URL    string `json:"url"`
	SQL    string `json:"sql,omitempty"` // where SQL of this machine is answered
	Page   string `json:"page"`          // address for people
	Token  string `json:"token,omitempty"`
	PID    int    `json:"pid"`
	Engine string `json:"engine"` // the engine's Unix socket, or its URL
	Pack   string `json:"pack"`
}

const runningFile = "running.json"

func (r running) write(data string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	temporary := filepath.Join(data, runningFile+".new")
	if err := os.WriteFile(temporary, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(data, runningFile))
}

func readRunning(data string) (running, error) {
	var r running
	text, err := os.ReadFile(filepath.Join(data, runningFile))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, err
	}
	if err := syscall.Kill(r.PID, 0); errors.Is(err, syscall.ESRCH) {
		return r, fmt.Errorf("the server with process %d has ended", r.PID)
	}
	return r, nil
}

// clientFlags adds the flags that say which server is meant.
func clientFlags(c *cobra.Command) {
	c.Flags().String("url", os.Getenv("OMBOR_URL"), "address of the server (OMBOR_URL); on the same machine found through --data")
	c.Flags().String("token", "", "API key (OMBOR_TOKEN)")
	c.Flags().String("data", defaultData(), "data folder of a server on this machine (OMBOR_DATA)")
}

func defaultData() string {
	if dir := os.Getenv("OMBOR_DATA"); dir != "" {
		return dir
	}
	return "data"
}

// dial finds the server that the flags mean.
func dial(c *cobra.Command) (*client, error) {
	address, _ := c.Flags().GetString("url")
	token, _ := c.Flags().GetString("token")
	data, _ := c.Flags().GetString("data")
	if token == "" {
		token = os.Getenv("OMBOR_TOKEN")
	}
	var page string
	if address == "" {
		r, err := readRunning(data)
		if err != nil {
			return nil, problem.New(problem.Unavailable, "no server runs on the data folder %q. Start one with 'ombor serve --data %s', or name one with --url", data, data).
				Also("uz", "“%s” maʼlumotlar papkasida server ishlamayapti. “ombor serve --data %s” bilan ishga tushiring yoki --url bilan boshqasini koʻrsating", data, data).
				Also("ru", "На папке данных «%s» сервер не работает. Запустите его: «ombor serve --data %s», или назовите другой через --url", data, data).
				From("", err)
		}
		address, page = r.URL, r.Page
		if token == "" {
			token = r.Token
		}
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	// A server of this machine at another address (a proxy's, a test's) takes its operator's token.
	if u, err := url.Parse(address); token == "" && err == nil && onThisMachine(u.Hostname()) {
		if text, err := os.ReadFile(filepath.Join(data, tokenFile)); err == nil {
			token = strings.TrimSpace(string(text))
		}
	}
	address = strings.TrimRight(address, "/")
	return &client{url: address, page: cmp.Or(page, address), token: token}, nil
}

// onThisMachine says whether a host can only be this machine.
func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// do sends one request and returns its answer when the status is 2xx; otherwise
// the server's problem as an error of the same kind.
func (c *client) do(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return nil, err
	}
	if part, ok := body.(*opened); ok {
		part.attach(request)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, problem.New(problem.Unavailable, "no answer from %s", c.url).
			Also("uz", "%s javob bermayapti", c.url).
			Also("ru", "%s не отвечает", c.url).
			From("", err)
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	defer response.Body.Close()
	return nil, problemOf(response)
}

// problemOf reads an RFC 9457 answer back into the error it was.
func problemOf(response *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	e := &problem.Error{Kind: kindOfStatus(response.StatusCode)}
	var doc problem.Document
	if json.Unmarshal(text, &doc) == nil && doc.Detail != "" {
		e.Message, e.Field, e.Words, e.Allowed = doc.Detail, doc.Field, doc.Words, doc.Allowed
	} else {
		e.Message = fmt.Sprintf("%s answered %s: %s", response.Request.URL.Host, response.Status, strings.TrimSpace(string(text)))
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

func kindOfStatus(status int) problem.Kind {
	for kind := problem.Internal; kind <= problem.Unavailable; kind++ {
		if kind.Status() == status {
			return kind
		}
	}
	if status/100 == 4 {
		return problem.BadInput
	}
	return problem.Internal
}

// get reads a JSON answer into v.
func (c *client) get(ctx context.Context, path string, query url.Values, v any) error {
	body, err := c.raw(ctx, path, query)
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(body).Decode(v)
}

// patience is how long a question waits for a server that asks to come again.
const patience = 30 * time.Second

// raw is an answer's body as it comes. A server that says when to come again (one that
// starts, one that has much to do) is asked again, for [patience].
func (c *client) raw(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	for until := time.Now().Add(patience); ; {
		response, err := c.do(ctx, http.MethodGet, path, nil, nil)
		if err == nil {
			return response.Body, nil
		}
		var p *problem.Error
		if !errors.As(err, &p) || p.RetryAfter == 0 || time.Now().Add(p.RetryAfter).After(until) {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "%v; asking again in %v …\n", err, p.RetryAfter)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(p.RetryAfter):
		}
	}
}
