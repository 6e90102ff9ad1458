package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ombor/internal/problem"
	"ombor/internal/protocol"
	"ombor/queries/governed"
)

func newSQL() *cobra.Command {
	c := &cobra.Command{
		Use:   "sql 'SELECT …'",
		Short: "Ask the analysts' database in SQL",
		Long: `Runs one statement through the governed door of a server and prints its result: as the
operator on the server's machine, with --token as whoever the key is of. What can be
read is the database ombor, described in docs/sql.md: one view for each contract with the
rows that stand, reference tables through time, calendar, published figures. Every
statement is in the audit log.`,
		Example: `  ombor sql 'SELECT count() FROM request_decided_v1'
  ombor sql "SELECT name, comment FROM system.tables WHERE database = 'ombor'"
  ombor sql "$(ombor kpi online-processing-share --by region --sql)"
  ombor sql 'SELECT service, count() AS n FROM request_decided_v1 WHERE region = {r:String} GROUP BY service' --param r=1726 --format CSVWithNames`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, statements []string) error {
			s, err := dialSQL(c)
			if err != nil {
				return err
			}
			format, _ := c.Flags().GetString("format")
			bound, _ := c.Flags().GetStringArray("param")
			values := url.Values{"default_format": {format}}
			for _, b := range bound {
				name, value, ok := strings.Cut(b, "=")
				if !ok || name == "" {
					return problem.New(problem.BadInput, "--param %q: want NAME=VALUE, for {NAME:Type} in the statement", b)
				}
				values.Set("param_"+name, value)
			}
			return s.ask(c.Context(), statements[0], values, c.OutOrStdout())
		},
	}
	c.Flags().String("url", "", "address of the server's --sql-listen; on the same machine found through --data")
	c.Flags().String("token", "", "API key (OMBOR_TOKEN)")
	c.Flags().String("data", defaultData(), "data folder of a server on this machine (OMBOR_DATA)")
	c.Flags().String("format", "PrettyCompactMonoBlock", "an output format of ClickHouse: CSVWithNames, JSON, Parquet, ArrowStream …")
	c.Flags().StringArray("param", nil, "`NAME=VALUE` for {NAME:Type} in the statement; may be repeated")
	return c
}

// sqlClient asks the governed door.
type sqlClient struct{ url, token string }

func dialSQL(c *cobra.Command) (*sqlClient, error) {
	address, _ := c.Flags().GetString("url")
	token, _ := c.Flags().GetString("token")
	if token == "" {
		token = os.Getenv("OMBOR_TOKEN")
	}
	s := &sqlClient{url: strings.TrimRight(address, "/"), token: token}
	if s.url != "" && s.token != "" {
		return s, nil
	}
	data, _ := c.Flags().GetString("data")
	r, err := readRunning(data)
	if err != nil {
		return nil, problem.Wrap(err, problem.Unavailable, "", "no server runs on the data folder %q. Start one with 'ombor serve --data %s', or name one with --url and --token", data, data)
	}
	if s.url == "" {
		s.url = r.SQL
	}
	if s.token == "" {
		s.token = r.Token
	}
	return s, nil
}

// ask runs a statement and copies its answer. An exception is an error, also in the middle of the answer.
func (s *sqlClient) ask(ctx context.Context, statement string, values url.Values, out io.Writer) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/?"+values.Encode(), strings.NewReader(statement))
	if err != nil {
		return problem.New(problem.BadInput, "--url %q is no address", s.url)
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return problem.Wrap(err, problem.Unavailable, "", "SQL is not answered at %s", s.url)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20)) // what there is of it
		return exceptionProblem(string(text))
	}
	// The last bytes are held back: an exception after the first rows stands there, behind its mark.
	mark := []byte("\r\n__exception__\r\n" + answer.Header.Get("X-ClickHouse-Exception-Tag") + "\r\n")
	const most = 64 << 10
	var held []byte
	piece := make([]byte, 256<<10)
	for {
		n, err := answer.Body.Read(piece)
		held = append(held, piece[:n]...)
		if err != nil && err != io.EOF {
			return problem.Wrap(err, problem.Unavailable, "", "the answer broke off")
		}
		keep := min(len(held), most)
		if err == io.EOF {
			keep = 0
			if i := bytes.Index(held[max(0, len(held)-most):], mark); i >= 0 {
				keep = min(len(held), most) - i
			}
		}
		if _, err := out.Write(held[:len(held)-keep]); err != nil {
			return err
		}
		held = append(held[:0], held[len(held)-keep:]...)
		if err == io.EOF {
			if keep > 0 {
				return exceptionProblem(string(held[len(mark):]))
			}
			return nil
		}
	}
}

// exceptionProblem is what the door answered instead of rows.
func exceptionProblem(text string) error {
	e := protocol.ParseException(text)
	kind := problem.BadInput
	switch e.Code {
	case protocol.CodeAuthenticationFailed:
		kind = problem.Unauthenticated
	case protocol.CodeAccessDenied, protocol.CodeReadonly:
		kind = problem.Denied
	case protocol.CodeTooManySimultaneous, protocol.CodeUnavailable, protocol.CodeTimeoutExceeded, protocol.CodeMemoryLimitExceeded:
		kind = problem.Unavailable
	}
	return problem.New(kind, "%s", e.Message)
}

// analysts is the analysts' database.
const analysts = "ombor"

// openSQL opens the governed door for SQL.
func (p *program) openSQL() error {
	if !p.config.does("api") {
		return nil
	}
	limits, err := p.config.SQL.limits()
	if err != nil {
		return err
	}
	config := governed.Config{Gate: p.gate, Database: analysts, Limits: limits, Own: p.warehouse.Own(p.pack.Reference, p.pack.Systems()), Ready: p.whole}
	switch {
	case p.engine != nil:
		config.Engine.Client = p.engine.Client()
		transport := config.Engine.Client.Transport.(*http.Transport)
		transport.MaxIdleConnsPerHost, transport.DisableCompression = 32, true
	case p.config.SQLWarehouse == "":
		return p.refuseSQL()
	default:
		config.Engine = governed.Engine{URL: p.config.SQLWarehouse, Client: &http.Client{Transport: &http.Transport{
			DisableCompression: true, MaxIdleConnsPerHost: 32, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}, IdleConnTimeout: time.Minute,
		}}}
	}
	door, err := governed.New(config)
	if err != nil {
		return err
	}
	p.sql = door
	p.closing(func() error { config.Engine.Client.CloseIdleConnections(); return nil })
	return p.serveSQL(door)
}

// refuseSQL is for a warehouse elsewhere without a user for analysts: SQL would run with the rights of the writer.
func (p *program) refuseSQL() error {
	if p.config.SQLListen == "" {
		return nil
	}
	return problem.New(problem.BadInput, "--sql-listen with --warehouse needs --sql-warehouse: statements of analysts run as a user of their own, which 'ombor warehouse users' makes")
}

// serveSQL serves the door at --sql-listen, and for the commands of this machine on a loopback address.
func (p *program) serveSQL(door http.Handler) error {
	listen := func(address string) (net.Listener, error) {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, problem.Wrap(err, problem.Unavailable, "", "--sql-listen %s: the address cannot be used; another program may have it", address)
		}
		return l, nil
	}
	serve := func(l net.Listener) {
		p.answer(l, &http.Server{Handler: p.ownHosts(door), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 1 << 20}) // a statement may stand in the URL
	}
	if p.config.SQLListen != "" {
		l, err := listen(p.config.SQLListen)
		if err != nil {
			return err
		}
		if p.cert == nil {
			p.sqlInside = "http://" + l.Addr().String()
			serve(l)
			return nil
		}
		serve(p.cert.over(l, "http/1.1"))
	}
	l, err := listen("127.0.0.1:0")
	if err != nil {
		return err
	}
	p.sqlInside = "http://" + l.Addr().String()
	serve(l)
	return nil
}
