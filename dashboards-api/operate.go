package dashboards

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"ombor/internal/access"
	"ombor/internal/problem"
	"ombor/internal/reference"
)

type statusBody struct {
	Journal    uint64       `json:"journal"`
	Loaded     uint64       `json:"loaded"`
	Lake       uint64       `json:"lake"`
	LagEvents  uint64       `json:"lag_events"`
	LagSeconds float64      `json:"lag_seconds"`
	Received   *time.Time   `json:"received"`
	Sources    []sourceBody `json:"sources"`
	Duplicates uint64       `json:"duplicates"`
	Conflicts  uint64       `json:"conflicts"`
	Held       uint64       `json:"held"`
	Quarantine []heldBody   `json:"quarantine"`
	Engine     engineBody   `json:"engine"`
	Loader     loaderBody   `json:"loader"`
	Durability string       `json:"durability"`
	Problems   []string     `json:"problems"`
	Version    string       `json:"version"`
}

type engineBody struct {
	Version  string `json:"version"`
	Resident int64  `json:"resident_bytes"`
	Restarts int    `json:"restarts"`
}

type loaderBody struct {
	Role     string `json:"role"`
	Holder   string `json:"holder"`
	Epoch    uint64 `json:"epoch"`
	Repaired uint64 `json:"repaired_batches"`
}

type sourceBody struct {
	Source         string          `json:"source"`
	Title          reference.Names `json:"title"`
	Owner          string          `json:"owner"`
	PromiseSeconds float64         `json:"promise_seconds"`
	LastEvent      *time.Time      `json:"last_event"`
	Received       *time.Time      `json:"received"`
	Events         uint64          `json:"events"`
	Late           bool            `json:"late"`
}

func (s *server) status() statusBody {
	body := statusBody{Sources: []sourceBody{}, Quarantine: []heldBody{}, Problems: []string{}, Version: s.config.Version}
	if s.config.Status == nil {
		return body
	}
	st := s.config.Status()
	body.Journal, body.Loaded, body.Lake, body.LagEvents = st.Journal, st.Loaded, st.Lake, st.LagEvents
	body.LagSeconds, body.Received = st.Lag.Seconds(), s.moment(st.Received)
	body.Duplicates, body.Conflicts, body.Held = st.Duplicates, st.Conflicts, st.Held
	body.Engine, body.Loader, body.Durability = engineBody(st.Engine), loaderBody(st.Loader), st.Durability
	body.Problems = append(body.Problems, st.Problems...)
	for _, c := range st.Quarantine {
		body.Quarantine = append(body.Quarantine, heldBody(c))
	}
	for _, source := range st.Sources {
		body.Sources = append(body.Sources, sourceBody{source.Source, names(source.Title), source.Owner, source.Promise.Seconds(),
			s.moment(source.LastEvent), s.moment(source.Received), source.Events, source.Late})
	}
	return body
}

// moment is a time in the pack's zone; nil when it is zero.
func (s *server) moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.In(s.config.Pack.Zone)
	return &t
}

func (s *server) getStatus(context.Context, *query) (*answer, error) {
	body := s.status()
	return &answer{body: body, name: "sources", table: func() (*table, error) {
		t := newTable(text("source"), text("owner"), number("promise_seconds"), text("last_event"), text("received"), count("events"), flag("late"))
		for _, source := range body.Sources {
			t.add(source.Source, source.Owner, source.PromiseSeconds, stamp(source.LastEvent), stamp(source.Received), float64(source.Events), source.Late)
		}
		return t, nil
	}}, nil
}

func stamp(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.Format(time.RFC3339)
}

// door passes a request to another room's handler, which takes these parameters, with its {id} in place.
func (s *server) door(h http.Handler, parameters ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		if h == nil {
			s.fail(c.Writer, c.Request, problem.New(problem.NotFound, "this process does not serve %s; its roles do not include the door", c.Request.URL.Path).
				Also("uz", "%s bu serverda yoʻq: door rolidagi serverdan soʻrang.", c.Request.URL.Path).
				Also("ru", "%s на этом сервере нет: спросите сервер с ролью door.", c.Request.URL.Path))
			return
		}
		if _, err := readParams(c.Request, parameters); err != nil {
			s.fail(c.Writer, c.Request, err)
			return
		}
		for _, p := range c.Params {
			c.Request.SetPathValue(p.Key, p.Value)
		}
		h.ServeHTTP(c.Writer, c.Request)
	}
}

// A live stream says at most one watermark a second and something every 15 s, so
// that a connection that died is noticed by both ends.
const (
	liveInterval  = time.Second
	liveHeartbeat = 15 * time.Second
)

// live streams the loaded watermark as server-sent events, as long as who reads it may.
func (s *server) live(c *gin.Context) {
	if _, err := readParams(c.Request, nil); err != nil {
		s.fail(c.Writer, c.Request, err)
		return
	}
	h := c.Writer.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	ctx := c.Request.Context()
	control := http.NewResponseController(c.Writer)
	send := func(line string) bool {
		_ = control.SetWriteDeadline(time.Now().Add(liveHeartbeat)) // not every writer has deadlines; then the heartbeat finds the dead reader
		if _, err := c.Writer.WriteString(line); err != nil {
			return false
		}
		c.Writer.Flush()
		return true
	}
	var told uint64
	var changed changing
	for first := true; ; first = false {
		if gate := s.config.Gate; gate != nil && !first && gate.Holds(c.Request, access.Of(ctx), "GET /v1/live") != nil {
			return
		}
		var st Status
		if s.config.Status != nil {
			st = s.config.Status()
		}
		if first || st.Loaded != told {
			told = st.Loaded
			data, err := json.Marshal(map[string]any{"loaded": st.Loaded, "kpis": changed.kpis(st, s.config.Pack.Contracts, s.config.Pack.KPIs), "received": s.moment(st.Received), "version": s.config.Version})
			if err != nil {
				s.log.Error("live: encode", "error", err)
				return
			}
			if !send(fmt.Sprintf("id: %d\nevent: watermark\ndata: %s\n\n", told, data)) {
				return
			}
		} else if !send(": still here\n\n") {
			return
		}
		if !s.waitNews(ctx, told+1) {
			return
		}
	}
}

// waitNews returns true when the watermark moved or a heartbeat is due, false
// when the reader has gone.
func (s *server) waitNews(ctx context.Context, seq uint64) bool {
	wait, cancel := context.WithTimeout(ctx, liveHeartbeat)
	defer cancel()
	if s.config.WaitLoaded == nil {
		<-wait.Done()
		return ctx.Err() == nil
	}
	pause := time.NewTimer(liveInterval)
	defer pause.Stop()
	if err := s.config.WaitLoaded(wait, seq); err != nil && wait.Err() == nil {
		s.log.Warn("live: wait for the loader", "error", err)
		<-wait.Done() // the loader is stopping: no hot loop
	}
	select {
	case <-pause.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func (s *server) getMetrics(c *gin.Context) {
	var buf bytes.Buffer
	if err := s.writeMetrics(&buf); err != nil {
		s.fail(c.Writer, c.Request, fmt.Errorf("api: metrics: %w", err))
		return
	}
	c.Data(http.StatusOK, "text/plain; version=0.0.4; charset=utf-8", buf.Bytes())
}

// getHealth says that the process answers; nothing else is looked at.
func (s *server) getHealth(c *gin.Context) {
	c.JSON(http.StatusOK, map[string]string{"status": "ok"})
}

// getReady says whether figures can be served.
func (s *server) getReady(c *gin.Context) {
	if s.config.Ready != nil {
		ctx, cancel := context.WithTimeout(c.Request.Context(), 5*time.Second)
		defer cancel()
		if err := s.config.Ready(ctx); err != nil {
			s.log.Debug("not ready", "error", err) // whoever asks expects it
			problem.Write(c.Writer, problem.New(problem.Unavailable, "not ready to serve figures yet").
				Also("uz", "Koʻrsatkichlar hali tayyor emas: birozdan soʻng qayta urining.").
				Also("ru", "Показатели ещё не готовы: попробуйте немного позже.").
				From("api: ready", err))
			return
		}
	}
	c.JSON(http.StatusOK, map[string]string{"status": "ready"})
}
